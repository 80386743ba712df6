"""One settings object: every unknown or unsafe value stops the start with a sentence that names it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.settings import Settings, SettingsError, load

WRONG: list[tuple[str, str, str]] = [
    ("PORTCULLIS_ORIGINS", "*", "is not an exact origin"),
    ("PORTCULLIS_ORIGINS", "https://*.example.org", "is not an exact origin"),
    ("PORTCULLIS_ORIGINS", "http://localhost:8443", "is not an exact origin"),
    ("PORTCULLIS_ORIGINS", "https://chat.example.org/", "is not an exact origin"),
    ("PORTCULLIS_ORIGINS", "https://Chat.example.org", "is not an exact origin"),
    ("PORTCULLIS_ORIGINS", "https://me@chat.example.org", "is not an exact origin"),
    ("PORTCULLIS_ORIGINS", "null", "is not an exact origin"),
    ("PORTCULLIS_HOSTS", "*", "must be lower-case host names"),
    ("PORTCULLIS_HOSTS", "", "must be lower-case host names"),
    ("PORTCULLIS_HOSTS", "Chat.example.org", "must be lower-case host names"),
    ("PORTCULLIS_HOSTS", "chat.example.org:8443", "must be lower-case host names"),
    ("PORTCULLIS_TRUSTED_PROXIES", "proxy.example.org", "does not appear to be"),
    ("PORTCULLIS_QUERY_TOKEN_MAX_SECONDS", "301", "less than or equal to 300"),
    ("PORTCULLIS_ACCESS_TOKEN_SECONDS", "86400", "less than or equal to 3600"),
    ("PORTCULLIS_TICKET_SECONDS", "0", "greater than or equal to 1"),
    ("PORTCULLIS_SESSION_IDLE_SECONDS", "inf", "finite"),
    ("PORTCULLIS_CLOCK_LEEWAY", "3600", "less than or equal to 60"),
    ("PORTCULLIS_PASSWORD_CHARACTERS", "4", "greater than or equal to 8"),
    ("PORTCULLIS_ARGON2_MEMORY_KIB", "8", "greater than or equal to 19456"),
    ("PORTCULLIS_ARGON2_PASSES", "1", "greater than or equal to 2"),
    ("PORTCULLIS_CONNECTIONS_PER_USER", "0", "greater than or equal to 1"),
    ("PORTCULLIS_POSTS_PER_USER_PER_SECOND", "0", "greater than 0"),
    ("PORTCULLIS_POSTS_PER_USER_PER_SECOND", "inf", "finite"),
    ("PORTCULLIS_POSTS_PER_USER_PER_SECOND", "nan", "Input should be"),
    ("PORTCULLIS_FRAME_BYTES", "16777216", "less than or equal to 1048576"),
    ("PORTCULLIS_BYTES_PER_USER_BURST", "1000", "must be at least frame_bytes"),
    ("PORTCULLIS_LOG_LEVEL", "TRACE", "String should match pattern"),
    ("PORTCULLIS_DRAIN_SECONDS", "30", "must be shorter than graceful_seconds"),
    ("PORTCULLIS_PING_SECONDS", "30", "with pong_seconds at most 10"),
    ("PORTCULLIS_ISSUERS", "nonsense", "JSON"),
    ("PORTCULLIS_ISSUERS", '[{"issuer":"https://i","audience":"a","jwks_url":"http://i/jwks"}]', "pattern"),
    (
        "PORTCULLIS_ISSUERS",
        '[{"issuer":"https://i","audience":"a","jwks_url":"https://i/jwks","algorithms":["HS256"]}]',
        "public-key algorithms",
    ),
    ("PORTCULLIS_OTLP_ENDPOINT", "collector:4318", "must be http://HOST:PORT"),
    ("PORTCULLIS_OTLP_ENDPOINT", "ftp://collector", "must be http://HOST:PORT"),
    ("PORTCULLIS_OTLP_ENDPOINT", "https://me:canary@collector", "without user, password or query"),
    ("PORTCULLIS_OTLP_ENDPOINT", "https://collector/?key=canary", "without user, password or query"),
    ("PORTCULLIS_OTLP_ENDPOINT", "http://", "must be http://HOST:PORT"),
    ("PORTCULLIS_PROMETHEUS_URL", "https://prometheus:9090", "must be http://HOST:PORT"),
    ("PORTCULLIS_PROMETHEUS_URL", "http://prometheus", "must be http://HOST:PORT"),
    ("PORTCULLIS_PROMETHEUS_URL", "http://prometheus:0", "must be http://HOST:PORT"),
    ("PORTCULLIS_PROMETHEUS_URL", "http://prometheus:65536", "must be http://HOST:PORT"),
    ("PORTCULLIS_PROMETHEUS_URL", "http://prometheus:9090/", "must be http://HOST:PORT"),
    ("PORTCULLIS_PROMETHEUS_URL", "http://me:canary@prometheus:9090", "must be http://HOST:PORT"),
    ("WORKERS", "2", "needs a PostgreSQL DATABASE_URL and a REDIS_URL"),
    ("WORKERS", "many", "valid integer"),
    ("REDIS_URL", "redis://localhost", "need a PostgreSQL DATABASE_URL, too"),
    ("REDIS_URL", "http://localhost", "must be unix:///PATH, redis://HOST:PORT, rediss://HOST:PORT or redis+sentinel"),
    ("REDIS_URL", "redis://me:canary@localhost", "must carry no user or password"),
    ("REDIS_URL", "redis://localhost/1", "must be unix:///PATH"),
    ("DATABASE_URL", "postgresql://me:canary@db/chat", "must not carry a password"),
    ("DATABASE_URL", "postgresql://me@db/chat?password=canary", "must not carry a password"),
    ("DATABASE_URL", "mysql://me@db/chat", "use sqlite:///PATH or postgresql://"),
    ("DATABASE_URL", "sqlite:///me:canary@db", "must not carry a password"),
]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine that runs the tests."""
    for name in list(os.environ):
        if name.startswith("PORTCULLIS_") or name in {"WORKERS", "DATABASE_URL", "DATABASE_PASSWORD_FILE", "REDIS_URL"}:
            monkeypatch.delenv(name)


@pytest.mark.parametrize(("name", "value", "sentence"), WRONG, ids=[f"{name}={value[:20]}" for name, value, _ in WRONG])
def test_an_unsafe_value_stops_the_start(name: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names the variable as it is set, and quotes no secret."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as stopped:
        load()
    said = str(stopped.value)
    assert said.startswith(f"{name}") and sentence in said, said
    assert said.endswith(".") and "canary" not in said and "\n" not in said


@pytest.mark.parametrize("name", ["PORTCULLIS_ORIGIN", "PORTCULLIS_SECRET_KEY", "PORTCULLIS_workers"])
def test_an_unknown_name_stops_the_start(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A typing error must not leave a limit at its default unnoticed."""
    monkeypatch.setenv(name, "canary")
    with pytest.raises(SettingsError, match=f"^{name} is not a setting of Portcullis") as stopped:
        load()
    assert "canary" not in str(stopped.value)


def test_several_wrong_values_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence each."""
    monkeypatch.setenv("PORTCULLIS_CONNECTIONS_PER_USER", "0")
    monkeypatch.setenv("PORTCULLIS_TICKET_SECONDS", "0")
    with pytest.raises(SettingsError, match=r"CONNECTIONS_PER_USER: .*\.") as stopped:
        load()
    assert "PORTCULLIS_TICKET_SECONDS" in str(stopped.value)


def test_good_values(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Lists are words with commas, paths derive from the state folder unless set; names of other programs pass."""
    for name, value in {
        "PORTCULLIS_STATE": str(tmp_path),
        "PORTCULLIS_HOSTS": "chat.example.org, [::1]",
        "PORTCULLIS_ORIGINS": "https://chat.example.org,https://[::1]:8443",
        "PORTCULLIS_TRUSTED_PROXIES": "10.0.0.0/8",
        "PORTCULLIS_HTTPS_PORT": "9443",
        "PORTCULLIS_ISSUERS": '[{"issuer":"https://i","audience":"a","jwks_url":"http://localhost:1/jwks"}]',
        "OTHER": "x",
    }.items():
        monkeypatch.setenv(name, value)
    settings = load()
    assert settings.hosts == ("chat.example.org", "[::1]")
    assert settings.origins == ("https://chat.example.org", "https://[::1]:8443")
    assert settings.issuers[0].algorithms == ("ES256", "RS256", "EdDSA")
    assert settings.public_socket == f"unix:{tmp_path}/run/app.sock"
    assert settings.private_socket == f"unix:{tmp_path}/run/private.sock"
    assert settings.database == f"sqlite:///{tmp_path}/data/chat.db"
    assert settings.signing_folder == tmp_path / "secrets" / "signing"
    given = Settings(bind="unix:/a", private_bind="unix:/b", database_url="sqlite:////c.db", signing_keys=tmp_path)
    assert (given.public_socket, given.private_socket) == ("unix:/a", "unix:/b")
    assert (given.database, given.signing_folder) == ("sqlite:////c.db", tmp_path)
