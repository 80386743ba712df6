"""Who may speak to the outside, and what opens and closes the way."""

from __future__ import annotations

import json
import socket

from stack import compose, engine
from tests.containers.contained import ContainedStack
from tests.patience import PATIENCE, until
from tests.socket.collector import collecting

RECEIVERS = """
receivers:
  - name: page
    webhook_configs: [{url: "http://192.0.2.1/secret-of-the-pager"}]
  - name: ticket
"""


def networks(stack: ContainedStack, service: str) -> dict[str, bool]:
    """Whether each of the service's networks is internal."""
    (one,) = engine.inspect(stack.containers()[service])
    return {name: internal(name) for name in one["NetworkSettings"]["Networks"]}


def internal(name: str) -> bool:
    found: bool = json.loads(engine.run("network", "inspect", "--format", "{{json .Internal}}", name))
    return found


def left(stack: ContainedStack) -> int:
    """How many networks the stack has."""
    label = f"label={compose.PROJECT}={compose.project(stack.place)}"
    return len(engine.run("network", "ls", "--quiet", "--filter", label).split())


def test_the_app_s_way_out_opens_and_closes(contained: ContainedStack) -> None:
    """For an identity provider's keys, by a roll-out; what is no longer used is gone."""
    count = left(contained)
    assert all(networks(contained, "app").values())
    issuers = [{"issuer": "https://id.example", "audience": "chat", "jwks_url": "https://id.example/jwks"}]
    contained.make("rollout", PORTCULLIS_ISSUERS=json.dumps(issuers))
    assert sorted(networks(contained, "app").values()) == [False, True, True]
    contained.make("rollout")
    assert all(networks(contained, "app").values())
    assert left(contained) == count


def test_spans_leave_where_a_collector_is_named(contained: ContainedStack) -> None:
    """The same way opens, and what the app's workers did arrives."""
    with collecting(own_address()) as collector:
        contained.make("rollout", PORTCULLIS_OTLP_ENDPOINT=collector.url)
        assert sorted(networks(contained, "app").values()) == [False, True, True]
        until(lambda: collector.spans("handshake"), "the probe's handshake arrives", PATIENCE * 4)
        contained.make("rollout")
    assert all(networks(contained, "app").values())


def own_address() -> str:
    """One of this machine's, as its containers know it. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


def test_receivers_are_tried_and_then_used(contained: ContainedStack) -> None:
    """What cannot be used changes nothing; what can reaches Alertmanager, which may then speak to the outside."""
    file, before = contained.state / "receivers.yml", contained.containers()
    assert networks(contained, "alertmanager").keys() >= networks(contained, "prometheus").keys()
    for text, mode, why in (
        (RECEIVERS.replace("webhook_configs", "carrier_pigeons"), 0o600, "carrier_pigeons"),
        (RECEIVERS, 0o644, "others can read it"),
    ):
        file.write_text(text)
        file.chmod(mode)
        done = contained.make("up", check=False)
        assert done.returncode != 0 and why in done.stderr, done.stderr
        assert "secret-of-the-pager" not in done.stderr
        assert contained.containers() == before
    file.chmod(0o600)
    contained.make("up")
    after = contained.containers()
    assert {name for name in after if after[name] != before[name]} == {"alertmanager"}
    assert any(
        name.endswith("_alerting_open") and not closed for name, closed in networks(contained, "alertmanager").items()
    )
    made = compose.folder(contained.place) / "alertmanager" / "alertmanager.yml"
    assert (made.stat().st_uid, made.stat().st_mode & 0o777) == (10006, 0o400)
    assert "secret-of-the-pager" in made.read_text()
    file.unlink()
    contained.make("up")
    assert "secret-of-the-pager" not in made.read_text()
    assert any(name.endswith("_alerting_closed") for name in networks(contained, "alertmanager"))
