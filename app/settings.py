"""One settings object, read once at start. An unknown or unsafe setting stops the start with a sentence naming it."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import (
    AliasChoices,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings import SettingsError as NoJSON

from app.issuer import Issuer
from app.redis_url import RedisUrl

PREFIX = "PORTCULLIS_"
STACK_ONLY = frozenset({"HTTPS_PORT", "HTTP_PORT", "OUTER_PROXIES"})
"""Names with our prefix that the stack reads and the server does not."""

BARE = frozenset({"DATABASE_URL", "DATABASE_PASSWORD_FILE", "REDIS_URL", "REDIS_PASSWORD_FILE", "WORKERS"})
"""Settings that go without our prefix."""
STORES = ("sqlite:///", "postgresql://", "postgresql+psycopg://")
"""What the store's URL may begin with."""
_HOST = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]")
_BIND = re.compile(rf"(?:{_HOST.pattern}):[0-9]{{1,5}}")
_ADDRESS = re.compile(rf"http://(?:{_HOST.pattern}):([0-9]{{1,5}})")


class SettingsError(Exception):
    """The settings are unknown, unsafe or unreadable; the message is the sentence to show."""


Words = Annotated[tuple[str, ...], NoDecode]
"""A tuple written as `one,two` in the environment."""


class Settings(BaseSettings):
    """Everything an operator can set. Durations in seconds, sizes in bytes, unless the name says otherwise."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, populate_by_name=True, use_attribute_docstrings=True
    )

    # Where things are
    state: Path = Path("var")
    """Folder of everything that is kept or made at run time."""
    database_url: str = Field("", validation_alias=AliasChoices("database_url", "DATABASE_URL"))
    """SQLAlchemy URL of the store, `sqlite:///PATH` or `postgresql://USER@HOST/DATABASE` with libpq's options such as
    `?sslmode=verify-full&sslrootcert=PATH`, or `postgresql://USER@/DATABASE?host=ONE:5432&host=TWO:5432` with
    `&target_session_attrs=read-write` for the one of several that is the primary; default: `data/chat.db` in the
    state folder."""
    database_password_file: Path | None = Field(
        None, validation_alias=AliasChoices("database_password_file", "DATABASE_PASSWORD_FILE")
    )
    """File with the password of PostgreSQL's user; read anew for each connection."""
    database_role: str = Field("portcullis", min_length=1)
    """The PostgreSQL role of the running server: `migrate`, run by another, gives it what it needs and no more."""
    redis_url: str = Field("", validation_alias=AliasChoices("redis_url", "REDIS_URL"))
    """Redis or Valkey, where limits, presence and delivery are shared between processes: `unix:///PATH`,
    `redis://HOST:PORT`, or `redis+sentinel://HOST:PORT,HOST:PORT/NAME` for the primary that Sentinels know as NAME;
    `rediss` instead of `redis` for TLS; unset: one process keeps them to itself."""
    redis_password_file: Path | None = Field(
        None, validation_alias=AliasChoices("redis_password_file", "REDIS_PASSWORD_FILE")
    )
    """File with the password of `redis_user`; read anew for each connection."""
    redis_user: str = Field("portcullis", min_length=1)
    """Whom the password is of."""
    redis_ca_file: Path | None = None
    """Who signed the certificate of a `rediss://` server; default: whom this machine trusts."""
    redis_prefix: str = Field("{portcullis}", min_length=1, max_length=64, pattern=r"^[!-~]+$")
    """What all keys and channels begin with."""
    redis_timeout_seconds: float = Field(0.5, ge=0.05, le=10)
    """Longest wait for an answer of Redis; then it counts as gone."""
    node: str = Field("", pattern=r"^[A-Za-z0-9._-]{0,63}$")
    """What this host is called where administrators see the hosts; default: its host name."""
    workers: int = Field(1, ge=1, le=64, validation_alias=AliasChoices("workers", "WORKERS"))
    """gunicorn workers."""
    bind: str = ""
    """Where the edge connects to, in gunicorn's notation; default: `run/app.sock` in the state folder."""
    private_bind: str = ""
    """Where metrics and health answer; default: `run/private.sock` in the state folder."""
    inner_bind: str = ""
    """Where edges on other hosts connect to, `HOST:PORT`: TLS with a certificate on both sides; default: nowhere."""
    inner_tls: Path | None = None
    """Folder with that listener's `app.pem` and `app.key` (0600), and with `ca.pem`: who holds a client certificate of
    this authority is believed as the edge is."""
    trusted_proxies: Words = ()
    """Addresses beside the Unix socket whose X-Real-IP is believed."""

    # Who may ask
    hosts: Words = ("localhost", "127.0.0.1", "[::1]")
    """Host names that are answered, lower case, without port."""
    origins: Words = ("https://localhost:8443", "https://127.0.0.1:8443", "https://[::1]:8443")
    """Origins whose pages may connect and call the API."""

    # Credentials
    signing_keys: Path | None = None
    """Folder of ES256 private keys (PEM, mode 0600); default: secrets/signing in the state folder."""
    hs256_secret_file: Path | None = None
    """Sign with HS256 and this file's at least 32 bytes instead."""
    issuer: str = "https://localhost:8443"
    """`iss` of our own tokens."""
    audience: str = "portcullis"
    """`aud` of our own tokens."""
    issuers: tuple[Issuer, ...] = ()
    """External identity providers, as a JSON list."""
    clock_leeway: float = Field(5.0, ge=0, le=60)
    """How far clocks may differ when a token's times are checked."""
    access_token_seconds: float = Field(300.0, ge=5, le=3600)
    """Lifetime of an access token."""
    query_token_max_seconds: float = Field(300.0, ge=1, le=300)
    """Longest lifetime of a token that may travel in a URL."""
    ticket_seconds: float = Field(30.0, ge=1, le=60)
    """Lifetime of a single-use ticket."""
    session_idle_seconds: float = Field(1800.0, ge=1)
    """A session without a live socket or request ends after this."""
    session_absolute_seconds: float = Field(43200.0, ge=1, le=604800)
    """Any session ends after this."""
    expiring_notice_seconds: float = Field(60.0, ge=0)
    """How long before its end a connection is told `expiring`."""
    password_characters: int = Field(12, ge=8, le=128)
    """Fewest characters of a new password."""
    argon2_memory_kib: int = Field(19456, ge=19456)
    """OWASP's minimum for Argon2id: 19 MiB with 2 passes and 1 lane."""
    argon2_passes: int = Field(2, ge=2, le=10)
    """Argon2id passes."""
    argon2_threads: int = Field(1, ge=1, le=16)
    """How many passwords are verified at once, over all workers; the rest wait, up to `argon2_queue` in each."""
    argon2_queue: int = Field(32, ge=1, le=1024)
    """Sign-ins that may wait for a password thread; more are told to come back."""

    # Limits: handshakes and connections
    handshakes_per_address_per_minute: float = Field(30.0, gt=0)
    """Handshakes from one address, sustained."""
    handshakes_per_address_burst: int = Field(10, ge=1)
    """Handshakes from one address at once."""
    connections_per_address: int = Field(20, ge=1)
    """Open connections of one address (IPv6: one /64)."""
    connections_per_user: int = Field(5, ge=1)
    """Open connections of one user."""
    connections_per_node: int = Field(10_000, ge=1)
    """Open connections of this node."""
    connections_per_room: int = Field(5_000, ge=1)
    """Live members of one room."""

    # Limits: frames and posts
    posts_per_user_per_second: float = Field(1.0, gt=0)
    """Posts of one user, sustained."""
    posts_per_user_burst: int = Field(5, ge=1)
    """Posts of one user at once."""
    frames_per_connection_per_second: float = Field(10.0, gt=0)
    """Frames of any kind on one connection, sustained."""
    frames_per_connection_burst: int = Field(20, ge=1)
    """Frames of any kind on one connection at once."""
    posts_per_room_per_second: float = Field(50.0, gt=0)
    """Posts in one room, sustained."""
    posts_per_room_burst: int = Field(50, ge=1)
    """Posts in one room at once."""
    posts_per_room_max_per_second: float = Field(200.0, gt=0)
    """The highest rate that a room's owner may set, where `posts_per_room_per_second` is not higher."""
    slow_mode_max_seconds: float = Field(3600.0, ge=0)
    """The longest slow mode that a room's owner may set."""
    changes_per_user_per_second: float = Field(2.0, gt=0)
    """Changes of rooms (create, invite, kick, delete and so on) by one user, sustained."""
    changes_per_user_burst: int = Field(20, ge=1)
    """Changes of rooms by one user at once."""
    reads_per_user_per_second: float = Field(10.0, gt=0)
    """Joins, pages of history and lists asked for by one user, sustained."""
    reads_per_user_burst: int = Field(150, ge=1)
    """The same at once: enough to join `rooms_per_user` rooms from two devices."""
    rooms_per_user: int = Field(64, ge=1, le=1000)
    """Rooms that one user may be a member of."""
    bytes_per_user_per_second: float = Field(16_384.0, gt=0)
    """Bytes of text frames of one user, sustained."""
    bytes_per_user_burst: int = Field(65_536, ge=1)
    """Bytes of text frames of one user at once."""
    frame_bytes: int = Field(16_384, ge=1024, le=1_048_576)
    """Largest frame; a larger one closes the connection with 1009."""
    message_characters: int = Field(500, ge=1, le=10_000)
    """Longest message, in Unicode code points."""
    malformed_per_minute: int = Field(10, ge=1)
    """Malformed frames on one connection; one more closes it."""
    throttles_per_minute: int = Field(20, ge=1)
    """Throttled frames of one user; one more closes their connections and cools them down."""
    cooldown_seconds: float = Field(30.0, gt=0)
    """The first cool-down; each one within a day doubles the next."""
    cooldown_max_seconds: float = Field(3600.0, gt=0)
    """The longest cool-down."""

    # Limits: sign-in
    sign_ins_per_account_and_address_per_minute: int = Field(5, ge=1)
    """Sign-ins for one account from one address."""
    sign_ins_per_address_per_minute: int = Field(20, ge=1)
    """Sign-ins from one address."""

    # The hub and the store
    outbox_bytes: int = Field(262_144, ge=16_384)
    """Bytes that may wait for a slow reader before it is closed."""
    unacked_posts_per_connection: int = Field(32, ge=1)
    """Posts of one connection that may wait for the store."""
    queued_posts: int = Field(10_000, ge=1)
    """Posts of all connections that may wait for the store."""
    batch_posts: int = Field(512, ge=1, le=1000)
    """Most posts in one transaction."""
    store_timeout_seconds: float = Field(5.0, gt=0)
    """Longest wait for the store; then the outcome counts as unknown."""
    retention_seconds: float = Field(30 * 86_400.0, ge=1)
    """Events older than this are deleted."""
    retention_events: int = Field(10_000, ge=1)
    """Newest events of a room that are kept."""
    retention_every_seconds: float = Field(60.0, gt=0)
    """Time between two sweeps by retention; what a sweep takes out of reach, the next one deletes."""
    notices_max_members: int = Field(100, ge=0)
    """Join and leave notices are left out in rooms with more live members than this."""
    notices_resume_seconds: float = Field(30.0, ge=0)
    """Who lost the connection and is back within this is not announced."""

    # Heartbeats and drain
    ping_seconds: float = Field(5.0, gt=0)
    """Time between pings."""
    pong_seconds: float = Field(4.0, gt=0)
    """Time to answer one."""
    drain_seconds: float = Field(20.0, gt=0)
    """Time in which a stopping server closes its connections, evenly."""
    graceful_seconds: float = Field(30.0, gt=0)
    """Time that gunicorn gives a worker to stop; longer than the drain."""

    # Watching
    otlp_endpoint: str = ""
    """OpenTelemetry collector that gets spans by OTLP over HTTP: `http://collector.example.org:4318`; unset: none."""
    prometheus_url: str = ""
    """Prometheus, whose charts and alerts `/ops` shows: `http://HOST:PORT`; unset: the stack's own; empty: none."""
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    """DEBUG, INFO, WARNING or ERROR."""

    @field_validator("hosts", "origins", "trusted_proxies", mode="before")
    @classmethod
    def split_words(cls, value: Any) -> Any:
        """`one, two` becomes a tuple."""
        return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value

    @field_validator("*")
    @classmethod
    def finite(cls, value: Any) -> Any:
        """An infinite rate or lifetime would be no limit at all."""
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("must be a finite number")
        return value

    @field_validator("origins")
    @classmethod
    def exact_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """An origin is `https://host[:port]` (RFC 6454 §6.2); a wildcard would undo the gate."""
        for origin in value:
            parts = urlsplit(origin)
            exact = parts.netloc and not set(parts.netloc) & set("*@ ")
            if not exact or origin != f"https://{parts.netloc}".lower():
                raise ValueError(f"{origin!r} is not an exact origin such as https://chat.example.org")
        return value

    @field_validator("prometheus_url")
    @classmethod
    def plain_address(cls, value: str) -> str:
        """Nothing but host and port: what is asked comes from the catalogue of panels alone."""
        found = _ADDRESS.fullmatch(value)
        if value and (found is None or not 0 < int(found[1]) < 1 << 16):
            raise ValueError("must be http://HOST:PORT, such as http://127.0.0.1:9090")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Addresses or networks, so that a typing error shows at start and not with the first request."""
        for proxy in value:
            ip_network(proxy)
        return value

    @field_validator("inner_bind")
    @classmethod
    def a_port(cls, value: str) -> str:
        """An address of this host and a port."""
        if value and not _BIND.fullmatch(value):
            raise ValueError("must be HOST:PORT, such as 0.0.0.0:8444")
        return value

    @field_validator("otlp_endpoint")
    @classmethod
    def plain_endpoint(cls, value: str) -> str:
        """No user and no query: whoever reads the settings would read a credential."""
        parts = urlsplit(value)
        plain = parts.scheme in ("http", "https") and parts.hostname and not set("@?#") & set(value)
        if value and not plain:
            raise ValueError("must be http://HOST:PORT or https://HOST:PORT, without user, password or query")
        return value

    @field_validator("redis_url")
    @classmethod
    def known_redis(cls, value: str) -> str:
        """A form that is known, and no password."""
        if value:
            RedisUrl.of(value)
        return value

    @field_validator("hosts")
    @classmethod
    def exact_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Lower-case host names without port; no wildcard."""
        if not value or not all(_HOST.fullmatch(host) for host in value):
            raise ValueError("must be lower-case host names without port or wildcard, such as chat.example.org")
        return value

    @model_validator(mode="after")
    def safe_together(self) -> Self:
        """Settings that are fine alone and unsafe together."""
        if self.workers > 1 and not (self.database_url.startswith("postgresql") and self.redis_url):
            raise ValueError("workers: more than one worker needs a PostgreSQL DATABASE_URL and a REDIS_URL")
        if self.redis_url and not self.database_url.startswith("postgresql"):
            raise ValueError("redis_url: several processes need a PostgreSQL DATABASE_URL, too")
        if self.database_url and not self.database_url.startswith(STORES):
            raise ValueError("database_url: use sqlite:///PATH or postgresql://USER@HOST/DATABASE, or leave it unset")
        if _has_password(self.database_url):
            raise ValueError("database_url: must not carry a password; DATABASE_PASSWORD_FILE names a file with it")
        if self.bytes_per_user_burst < self.frame_bytes:
            raise ValueError("bytes_per_user_burst: must be at least frame_bytes, or such a frame never passes")
        if bool(self.inner_bind) != bool(self.inner_tls):
            raise ValueError("inner_bind: goes together with inner_tls, the folder of its certificates")
        if self.drain_seconds >= self.graceful_seconds:
            raise ValueError("drain_seconds: must be shorter than graceful_seconds, or the drain is cut off")
        if self.ping_seconds + self.pong_seconds > 10:  # noqa: PLR2004
            raise ValueError("ping_seconds: with pong_seconds at most 10, so that a dead peer is noticed in time")
        return self

    @property
    def public_socket(self) -> str:
        """What the edge connects to, in gunicorn's notation."""
        return self.bind or f"unix:{self.state.resolve()}/run/app.sock"

    @property
    def private_socket(self) -> str:
        """Where metrics and health answer, in gunicorn's notation."""
        return self.private_bind or f"unix:{self.state.resolve()}/run/private.sock"

    @property
    def database(self) -> str:
        """The SQLAlchemy URL of the store."""
        return self.database_url or f"sqlite:///{self.state.resolve()}/data/chat.db"

    @property
    def alone(self) -> bool:
        """Whether this must be the only process that serves its store: nothing would tell others what is new."""
        return not self.redis_url

    @property
    def signing_folder(self) -> Path:
        """Where the ES256 keys are."""
        return self.signing_keys or self.state / "secrets" / "signing"


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings from the environment; raises SettingsError with one sentence per thing that is wrong."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {PREFIX + name for name in STACK_ONLY}
    unknown = sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise SettingsError(f"{unknown[0]} is not a setting of Portcullis. docs/settings.md lists them all.")
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError(" ".join(_sentence(item) for item in error.errors())) from None
    except NoJSON:  # the issuers are the only setting that is written in JSON
        raise SettingsError(f"{PREFIX}ISSUERS: is not a JSON list of issuers.") from None


def _has_password(url: str) -> bool:
    """Before the host or among the options; a path that happens to have an @ in it counts, too."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return "@" in url
    return parts.password is not None or "password" in parse_qs(parts.query, keep_blank_values=True)


def _sentence(item: Any) -> str:
    where = str(item["loc"][0]).upper() if item["loc"] else ""
    text = str(item["msg"]).removeprefix("Value error, ")
    if not where:
        where, _, text = text.partition(": ")
        where = where.upper()
    name = where if where in BARE else PREFIX + where
    return f"{name}: {text}."
