"""Three PostgreSQL servers: what one acks is on two, whoever is lost; and there are never two primaries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from stack import engine
from tests.containers.peers import SECONDS, network
from tests.containers.postgres_peers import NAMES, ONE, THREE, TWO, Servers
from tests.patience import until

TIMED_OUT = 124
SWALLOW = """
import socket, threading
with socket.create_server(("", 5432), backlog=0) as server:
    for _ in range(8):  # once nobody more may wait to be accepted, the kernel drops who asks
        threading.Thread(target=socket.create_connection, args=(("127.0.0.1", 5432),), daemon=True).start()
    print("swallows", flush=True)
    threading.Event().wait()
"""
BEGAN = "SELECT backend_start FROM pg_stat_replication WHERE application_name = 'postgres-2'"


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """Three that stream, the first of which is the primary, with a table that the app's role may write to."""
    with network(Servers) as made:
        made.prepare()
        made.start_all()
        yield made


@contextmanager
def _swallowing(servers: Servers, name: str) -> Iterator[None]:
    """A lost host for a moment: an address by this name that answers nothing, not even that nobody is there."""
    place = ("--detach", f"--name={servers.container('lost')}", f"--network-alias={name}")
    servers.run(*place, servers.built["counter"], "python3", "-c", SWALLOW)
    try:
        until(lambda: "swallows" in servers.said("lost"), "it swallows")
        yield
    finally:
        engine.run("rm", "--force", servers.container("lost"))


def test_who_has_no_certificate_of_its_own_is_not_let_in(servers: Servers) -> None:
    """The password alone does not do, nor does another role's certificate with it; both together do."""
    question = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    assert servers.client("portcullis", "portcullis", question) == (0, "t")
    status, said = servers.client("portcullis", "", question)
    assert status == 2 and "requires a valid client certificate" in said
    status, said = servers.client("portcullis", "portcullis_watch", question)
    assert status == 2 and "authentication failed" in said


def test_who_is_gone_is_soon_known_to_be(servers: Servers) -> None:
    """The engine may leave a name that nobody has unanswered; 2 is that there is none, and not that the time was up."""
    assert servers.inside(TWO, "timeout", "5", "getent", "ahosts", "gone")[0] == 2


def test_a_commit_waits_for_a_standby(servers: Servers) -> None:
    """With both standbys gone nothing is acked; with them back the next one is."""
    assert servers.write(1) == 0
    for name in (TWO, THREE):
        servers.kill(name)
    assert servers.write(2, seconds=4) == TIMED_OUT
    for name in (TWO, THREE):
        servers.start_again(name)
    until(lambda: servers.standbys(ONE) == 2, "both stream again", SECONDS)
    assert servers.write(3) == 0
    assert {1, 3} <= set(servers.kept(ONE))


@pytest.mark.parametrize("process", [10, 11])
def test_what_a_killed_server_left_keeps_none_from_starting(servers: Servers, process: int) -> None:
    """Its lock file names a process that is another one in the next container, where few are older than these."""
    servers.kill(TWO)
    shell = f"sed -i '1s/.*/{process}/' /data/*/postmaster.pid && cat /data/*/postmaster.pid"
    volume = f"--volume={servers.container(TWO)}:/data"
    assert servers.run("--rm", volume, servers.built[servers.image], "sh", "-c", shell).startswith(f"{process}\n")
    servers.start_again(TWO)
    until(lambda: servers.states(TWO).get(TWO, ("", 0))[0] == "standby", "it answers", SECONDS)
    until(lambda: servers.standbys(ONE) == 2, "both stream", SECONDS)


def test_a_second_container_of_a_server_waits_until_the_first_has_ended(servers: Servers) -> None:
    """Two servers on one volume destroy it: Swarm was seen to start a host's one server while the former still ran."""
    engine.run("rename", servers.container(TWO), f"{servers.container(TWO)}-former")
    began = servers.ask(ONE, BEGAN)
    servers.start(TWO)
    until(lambda: "the former container of postgres-2" in servers.said(TWO), "it says for what it waits", SECONDS)
    assert servers.peer(TWO, "healthy")[0] == 0
    assert servers.write(5) == 0
    assert began and servers.ask(ONE, BEGAN) == began
    engine.run("rm", "--force", f"{servers.container(TWO)}-former")
    until(lambda: servers.states(ONE).get(TWO, ("", 0))[0] == "standby", "it serves", SECONDS)
    until(lambda: servers.standbys(ONE) == 2, "both stream", SECONDS)
    until(lambda: 5 in servers.kept(TWO), "it has what was written")


def test_a_lost_primary_is_followed_and_does_not_come_back_as_one(servers: Servers) -> None:
    """A standby is promoted, not before; the other follows it; the lost one may not serve, and is made anew."""
    status, said = servers.peer(TWO, "promote")
    assert status == 78 and f"{ONE} is the primary" in said
    assert servers.write(10) == 0
    acked = servers.kept(ONE)
    with _swallowing(servers, ONE):
        servers.kill(ONE)
        states = servers.states(TWO)
        assert states[ONE] == ("absent", 0)
        assert states[TWO][0] == states[THREE][0] == "standby"
        leads, other = sorted((TWO, THREE), key=lambda name: states[name][1], reverse=True)
        assert servers.peer(leads, "promote")[0] == 0
        until(lambda: servers.standbys(leads) == 1, "the other one follows", SECONDS)
    assert set(acked) <= set(servers.kept(leads))
    assert servers.write(11) == 0
    servers.start_again(ONE)
    until(lambda: "make it anew" in servers.said(ONE), "it says that it may not", SECONDS)
    assert servers.ask(ONE, "SELECT 1") == ""
    servers.forget(ONE)
    servers.start(ONE)
    until(lambda: servers.standbys(leads) == 2, "the former primary is a standby", SECONDS)
    assert servers.write(12) == 0
    until(lambda: servers.kept(ONE) == servers.kept(other) == servers.kept(leads), "all have the same")


def test_the_standby_that_has_less_is_not_promoted(servers: Servers) -> None:
    """What was acked while it was away is on the other one; without that one's word nobody is promoted by itself."""
    (leads,) = [name for name in NAMES if servers.states(name)[name][0] == "primary"]
    more, less = (name for name in NAMES if name != leads)
    servers.kill(less)
    assert servers.write(15) == 0
    for name in (leads, more):
        servers.kill(name)
    servers.start_again(less)
    until(lambda: servers.states(less)[less][0] == "standby", "it answers", SECONDS)
    status, said = servers.peer(less, "promote")
    assert status == 78 and "nobody knows whether" in said
    servers.start_again(more)
    until(lambda: servers.states(more)[more][0] == "standby", "it answers", SECONDS)
    status, said = servers.peer(less, "promote")
    assert status == 78 and f"{more} has received more" in said
    assert servers.peer(more, "promote") == (0, "")
    assert 15 in servers.kept(more)
    servers.forget(leads)
    servers.start(leads)
    until(lambda: servers.standbys(more) == 2, "the former primary is a standby", SECONDS)


def test_a_primary_alone_waits_for_somebody_who_knows(servers: Servers) -> None:
    """With nobody to ask it lets nobody in, without counting as ill; a standby's answer is enough, or a person's."""
    (leads,) = [name for name in NAMES if servers.ask(name, "SELECT pg_is_in_recovery()") == "f"]
    engine.run("stop", *(servers.container(name) for name in NAMES))
    servers.start_again(leads)
    until(lambda: "waiting for a standby" in servers.said(leads), "it waits", SECONDS)
    assert servers.peer(leads, "healthy") == (0, "")
    assert servers.ask(leads, "SELECT 1") == ""
    servers.start_again(next(name for name in NAMES if name != leads))
    until(lambda: servers.standbys(leads) == 1, "a standby has answered", SECONDS)
    engine.run("stop", *(servers.container(name) for name in NAMES))
    servers.start_again(leads)
    until(lambda: "waiting for a standby" in servers.said(leads).rpartition("shut down")[2], "it waits again", SECONDS)
    servers.run("--rm", *servers.words(leads), servers.built[servers.image], *servers.command(leads), "lead")
    until(lambda: servers.ask(leads, "SELECT 1") == "1", "it leads with nobody else there", SECONDS)
    for name in NAMES:
        servers.start_again(name)
    until(lambda: servers.standbys(leads) == 2, "all are there again", SECONDS)
    assert servers.write(20) == 0
    assert servers.peer(leads, "healthy") == (0, "")
