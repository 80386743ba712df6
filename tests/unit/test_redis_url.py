"""REDIS_URL: every form that is understood, and a sentence for the others."""

from __future__ import annotations

import pytest

from app.redis_url import RedisUrl

GOOD = {
    "unix:///run/valkey.sock": RedisUrl(("/run/valkey.sock",)),
    "unix:///run/me@here.sock": RedisUrl(("/run/me@here.sock",)),
    "redis://valkey": RedisUrl((("valkey", 6379),)),
    "redis://valkey:7000/": RedisUrl((("valkey", 7000),)),
    "rediss://[::1]:7000/0": RedisUrl((("::1", 7000),), tls=True),
    "redis+sentinel://one/chat": RedisUrl((("one", 26379),), primary="chat"),
    "rediss+sentinel://one:1,two,[::1]:3/my.chat": RedisUrl((("one", 1), ("two", 26379), ("::1", 3)), True, "my.chat"),
}
BAD = (
    "",
    "host",
    "redis://",
    "http://host",
    "redis://u:p@host",
    "redis://host/3",
    "redis://host?x=1",
    "redis://host#x",
    "redis://host:port",
    "redis://host:65536",
    "redis://one,two",
    "redis://[::1",
    "redis+cluster://host/chat",
    "redis+sentinel://host",
    "redis+sentinel:///chat",
    "redis+sentinel://one,,two/chat",
    "redis+sentinel://one,u:p@two/chat",
    "redis+sentinel://one/chat/0",
    "unix://x/y",
    "unix:",
)


@pytest.mark.parametrize("url", GOOD)
def test_it_says_where(url: str) -> None:
    """A socket, a host, or who knows the host."""
    assert RedisUrl.of(url) == GOOD[url]


@pytest.mark.parametrize("url", BAD)
def test_it_says_nothing_else(url: str) -> None:
    """No password, no database, no option."""
    with pytest.raises(ValueError, match=r"^must (be unix|carry no user)"):
        RedisUrl.of(url)
