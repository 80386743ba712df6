"""Where Redis or Valkey is, in the words of REDIS_URL."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

Place = str | tuple[str, int]
"""The path of a Unix socket, or a host and its port."""

_FORMS: Final = (
    "must be unix:///PATH, redis://HOST:PORT, rediss://HOST:PORT or redis+sentinel://HOST:PORT,HOST:PORT/NAME"
)
_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
_HOST: Final = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")
"""What a Sentinel takes for a name."""


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """One server, or the Sentinels that know where it is at the moment."""

    places: tuple[Place, ...]
    """Of the server itself, which is one, or of its Sentinels."""
    tls: bool = False
    primary: str = ""
    """What the Sentinels call it; empty where there are none."""

    @classmethod
    def of(cls, url: str) -> Self:
        """Raises ValueError with a sentence for a URL that says too little, or as much as a password."""
        if "@" in url.partition("//")[2].partition("/")[0]:
            raise ValueError("must carry no user or password: PORTCULLIS_REDIS_USER and REDIS_PASSWORD_FILE name them")
        try:
            return cls._parsed(url)
        except ValueError:
            raise ValueError(_FORMS) from None

    @classmethod
    def _parsed(cls, url: str) -> Self:
        scheme, _, rest = url.partition("://")
        host, slash, path = rest.partition("/")
        if set("?#") & set(url):
            raise ValueError
        if scheme == "unix" and path and not host:
            return cls((slash + path,))
        tls = scheme.startswith("rediss")
        if scheme in ("redis", "rediss") and path in ("", "0"):
            return cls((_place(host, _PORT),), tls)
        if scheme in ("redis+sentinel", "rediss+sentinel") and _NAME.fullmatch(path):
            return cls(tuple(_place(one, _SENTINEL_PORT) for one in host.split(",")), tls, path)
        raise ValueError


def _place(text: str, usual: int) -> Place:
    found = _HOST.fullmatch(text)
    port = int(found["port"] or usual) if found else 0
    if not found or not 0 < port < 1 << 16:
        raise ValueError
    return found["address"] or found["name"], port
