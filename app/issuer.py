"""An external identity provider, as an operator names it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Issuer(BaseModel):
    """An external identity provider whose tokens are accepted (OpenID Connect Core 1.0 §2, RFC 7517)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: str = Field(min_length=1)
    audience: str = Field(min_length=1)
    jwks_url: str = Field(pattern=r"^https://|^http://(localhost|127\.0\.0\.1)[:/]")
    algorithms: tuple[str, ...] = ("ES256", "RS256", "EdDSA")
    name_claim: str = "preferred_username"

    @field_validator("algorithms")
    @classmethod
    def only_signatures(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """A JWKS publishes public keys: an HMAC algorithm here would let anyone sign with them."""
        allowed = {"ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA"}
        if not value or not set(value) <= allowed:
            raise ValueError("must be a non-empty list of public-key algorithms such as ES256 or RS256")
        return value
