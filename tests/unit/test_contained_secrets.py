"""What the containers' users may do is what the server needs, and no more."""

from __future__ import annotations

from app.redis_link import acl
from stack.contained_secrets import content


def test_valkeys_user_is_the_one_that_the_server_needs() -> None:
    """The same rules as the server's own, behind a hash of its password; nobody else may do anything but PING."""
    _, text = content()["valkey_users"]
    default, health, watch, ours = text.splitlines()
    assert default == "user default off"
    assert health.endswith("-@all +ping")
    assert watch.partition(" -@all ")[2].split() == ["+ping", "+info", "+slowlog|len", "+latency|latest"]
    name, digest, *rules = ours.removeprefix("user ").split()
    assert name == "portcullis" and digest.startswith("#") and len(digest) == 65
    assert " ".join(rules) == acl("{portcullis}")
