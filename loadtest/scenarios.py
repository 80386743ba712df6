"""The scenarios: how many attack for how long, and which promise is tried. What attackers do: attack_*.py."""

from __future__ import annotations

from collections.abc import Mapping

from loadtest.attack_sizes import BIG
from loadtest.limits import Limits, Rate
from loadtest.scenario import CapOf, Equal, Happens, Never, RateOf, Scenario, Within
from loadtest.tally import series


def _per_second(name: str, cost: float = 1.0) -> RateOf:
    def rate(limits: Limits) -> Rate:
        return Rate(limits[f"{name}_per_second"], limits[f"{name}_burst"], cost)

    return RateOf(name, rate)


def _per_minute(name: str) -> RateOf:
    def rate(limits: Limits) -> Rate:
        return Rate(limits[f"{name}_per_minute"] / 60, limits.get(f"{name}_burst", limits[f"{name}_per_minute"]))

    return RateOf(name, rate)


def _cap(name: str, *, honest_too: bool = False) -> CapOf:
    return CapOf(name, lambda limits: limits[name], honest_too)


def _refused(reason: str) -> Happens:
    return Happens(series("chat_handshakes_rejected_total", "reason", reason))


def _throttled(limit: str) -> Happens:
    return Happens(series("chat_messages_throttled_total", "limit", limit))


def _closed(*codes: int) -> frozenset[str]:
    return frozenset(series("chat_closes_total", "code", code) for code in codes)


_HANDSHAKES = _per_minute("handshakes_per_address")
_NO_THROTTLE = Never(series("chat_messages_throttled_total", "limit", "changes_per_user"))
_NOBODY_IN = Never(series("chat_handshakes_total", "verdict", "accepted"))

ALL = (
    Scenario(
        "steady",
        "people who talk as people do are never refused, and everything is counted",
        honest=24,
        seconds=10.0,
    ),
    Scenario(
        "handshake-flood",
        "one address gets as many handshakes as it may, whatever it tries, and the edge stops the rest",
        attack="HandshakeFlooder",
        attackers=8,
        addresses=1,
        seconds=12.0,
        promise=_HANDSHAKES,
        expectations=(_refused("ip_rate"), Happens(series("edge_rejected_total", "reason", "edge_rate")), _NOBODY_IN),
    ),
    Scenario(
        "handshake-flood-many",
        "many addresses get what each may, and no more for being many",
        attack="HandshakeFlooder",
        attackers=20,
        seconds=12.0,
        promise=_HANDSHAKES,
        expectations=(_refused("ip_rate"), _NOBODY_IN),
    ),
    Scenario(
        "handshake-flood-ipv6",
        "an IPv6 network gets what one address may",
        attack="LocalHandshakeFlooder",
        attackers=6,
        seconds=12.0,
        promise=_HANDSHAKES,
        expectations=(_refused("ip_rate"), _NOBODY_IN),
        short=False,
    ),
    Scenario(
        "hoard-user",
        "one user holds as many connections as one may, from however many addresses",
        attack="UserHoarder",
        attackers=4,
        accounts=4,
        seconds=10.0,
        promise=_cap("connections_per_user"),
        expectations=(_refused("user_connections"),),
    ),
    Scenario(
        "hoard-address",
        "one address holds as many connections as it may, for however many users",
        attack="AddressHoarder",
        attackers=26,
        accounts=26,
        addresses=1,
        seconds=32.0,
        promise=_cap("connections_per_address"),
        expectations=(_refused("ip_connections"),),
        short=False,
    ),
    Scenario(
        "full-node",
        "the node holds as many connections as it may, honest users' among them",
        attack="NodeFiller",
        attackers=30,
        accounts=30,
        promise=_cap("connections_per_node", honest_too=True),
        expectations=(_refused("node_full"),),
        usual=False,
    ),
    Scenario(
        "full-room",
        "a room holds as many live members as it may",
        attack="RoomFiller",
        attackers=30,
        accounts=30,
        promise=_cap("connections_per_room"),
        expectations=(_throttled("members_per_room"),),
        usual=False,
    ),
    Scenario(
        "hoard-rooms",
        "one user is in as many rooms as one may be",
        attack="RoomHoarder",
        attackers=2,
        accounts=2,
        seconds=32.0,
        promise=_cap("rooms_per_user"),
        expectations=(_throttled("rooms_per_user"),),
        short=False,
    ),
    Scenario(
        "sizes",
        "the largest message and the largest frame are taken, a character and a byte more are not",
        attack="Sizer",
        attackers=4,
        accounts=4,
        seconds=10.0,
        expectations=(Equal("sizes kept", "sizes tried"), Happens(series("chat_closes_total", "code", 1009))),
        short=False,
    ),
    Scenario(
        "post-flood",
        "a user's posts are counted over all connections",
        attack="PostFlooder",
        attackers=12,
        accounts=3,
        seconds=12.0,
        promise=_per_second("posts_per_user"),
        expectations=(_throttled("posts_per_user"),),
    ),
    Scenario(
        "room-flood",
        "a room takes what it may, however many users post in it",
        attack="RoomFlooder",
        attackers=90,
        accounts=90,
        seconds=12.0,
        promise=_per_second("posts_per_room"),
        expectations=(_throttled("posts_per_room"),),
    ),
    Scenario(
        "byte-flood",
        "few frames are throttled, too, when they are big",
        attack="ByteFlooder",
        attackers=4,
        accounts=4,
        seconds=12.0,
        promise=_per_second("bytes_per_user", BIG),
        expectations=(_throttled("bytes_per_user"),),
    ),
    Scenario(
        "frame-flood",
        "a connection's frames are counted, whatever is in them",
        attack="FrameFlooder",
        attackers=4,
        accounts=4,
        seconds=12.0,
        promise=_per_second("frames_per_connection"),
        expectations=(_throttled("frames_per_connection"),),
        short=False,
    ),
    Scenario(
        "read-flood",
        "a user's questions are counted over all connections",
        attack="ReadFlooder",
        attackers=10,
        accounts=2,
        seconds=12.0,
        promise=_per_second("reads_per_user"),
        expectations=(_throttled("reads_per_user"),),
        short=False,
    ),
    Scenario(
        "change-flood",
        "a user's changes of rooms are counted",
        attack="ChangeFlooder",
        attackers=4,
        accounts=4,
        seconds=14.0,
        promise=_per_second("changes_per_user"),
        expectations=(_throttled("changes_per_user"),),
        short=False,
    ),
    Scenario(
        "ruthless-flood",
        "who goes on regardless is thrown out and has to cool down",
        attack="RuthlessFlooder",
        attackers=6,
        accounts=6,
        seconds=12.0,
        expectations=(
            Happens(series("chat_closes_total", "code", 4500)),
            _refused("user_cooldown"),
            _throttled("posts_per_user"),
        ),
    ),
    Scenario(
        "bad-tokens",
        "bad credentials get nobody in, each for its own reason",
        attack="BadTokenSender",
        attackers=40,
        accounts=40,
        seconds=10.0,
        expectations=(_refused("token_invalid"), _refused("credential_missing"), _refused("token_exposed"), _NOBODY_IN),
    ),
    Scenario(
        "stuffing",
        "one address tries as many passwords as it may",
        attack="Stuffer",
        attackers=9,
        addresses=3,
        seconds=12.0,
        promise=_per_minute("sign_ins_per_address"),
        expectations=(Happens(series("chat_sign_ins_total", "outcome", "sign_ins_per_address")),),
    ),
    Scenario(
        "stuffing-name",
        "one address tries one name as often as it may, and other addresses are not held back by that",
        attack="NameStuffer",
        attackers=10,
        addresses=5,
        accounts=1,
        seconds=14.0,
        promise=_per_minute("sign_ins_per_account_and_address"),
        expectations=(Happens(series("chat_sign_ins_total", "outcome", "sign_ins_per_account")),),
        short=False,
    ),
    Scenario(
        "bad-frames",
        "a connection may send as much nonsense as it may, and is then closed",
        attack="BadFramer",
        attackers=8,
        accounts=8,
        seconds=10.0,
        promise=_per_minute("malformed"),
        expectations=(Happens(series("chat_closes_total", "code", 4505)),),
    ),
    Scenario(
        "slow-readers",
        "who does not read is closed, and nobody else waits for them",
        attack="SlowReader",
        attackers=40,
        accounts=40,
        seconds=14.0,
        expectations=(
            Equal("stalled readers closed by the server", "stalled readers"),
            Happens("chat_slow_consumers_total"),
        ),
        one_number=(_closed(1006, 1011, 4000),),
        memory_mib=96.0,
    ),
    Scenario(
        "herd",
        "when everybody comes back at once, everybody gets in and resumes",
        attack="Herd",
        attackers=60,
        accounts=60,
        seconds=10.0,
        expectations=(Equal("connections resumed", "connections lost"), Within("comeback", 5.0)),
    ),
    Scenario(
        "churn",
        "those who come and go take nothing from those who stay",
        attack="Churner",
        attackers=20,
        accounts=20,
        seconds=10.0,
        expectations=(Equal("joined again", "left"), _NO_THROTTLE),
        short=False,
    ),
    Scenario(
        "huge-room",
        "in a very large room everybody hears everything",
        attack="Crowd",
        attackers=300,
        accounts=300,
        seconds=10.0,
        expectations=(Equal("messages received", "messages due"), Within("delivery", 2.0)),
        memory_mib=128.0,
        short=False,
    ),
    Scenario(
        "dribblers",
        "who sends a header a byte at a time is cut off in time",
        attack="Dribbler",
        attackers=20,
        seconds=14.0,
        expectations=(Equal("dribbles ended by the edge", "dribbled"), Within("dribble", 11.0)),
        short=False,
    ),
)
BY_NAME: Mapping[str, Scenario] = {one.name: one for one in ALL}
