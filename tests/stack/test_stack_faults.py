"""What happens when processes are killed, commands collide, or a start fails half-way."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from stack import health, listeners, processes
from tests.stack.conftest import NewStack
from tests.stack.running import SECONDS, RunningStack


def restarted(stack: RunningStack, program: str, old: int) -> bool:
    """Whether the supervisor has started `program` anew and all of the stack is well."""
    found = {one.pid: one for one in stack.processes()}
    fresh = [
        one
        for one in found.values()
        if one.program == program and one.pid != old and one.parent == stack.pid("supervisor")
    ]
    return bool(fresh) and health.problems(stack.place) == []


@pytest.mark.parametrize("program", ["app", "edge", "mtail", "rotation"])
def test_a_killed_program_is_started_again(stack: RunningStack, program: str) -> None:
    """After kill -9 of a master the whole stack is healthy again within seconds, by itself."""
    old = stack.pid(program)
    os.kill(old, signal.SIGKILL)
    assert processes.until(lambda: restarted(stack, program, old), 15), health.problems(stack.place)
    stack.make("up")


def test_orphaned_nginx_workers_give_way(stack: RunningStack) -> None:
    """Workers of a killed nginx master stop listening, so the ports belong to the new one alone."""
    old = stack.pid("edge")
    orphans = [one.pid for one in stack.processes() if one.program == "edge" and one.pid != old]
    assert orphans
    os.kill(old, signal.SIGKILL)
    assert processes.until(lambda: restarted(stack, "edge", old), 15)
    assert processes.until(lambda: listeners.holders(stack.https_port, orphans) == [], 15)


def test_a_killed_supervisor_leaves_nothing_in_the_way(another: NewStack) -> None:
    """Status says what is wrong, and the next `make up` ends what was left and starts anew."""
    with another() as stack:
        stack.up()
        os.kill(stack.pid("supervisor"), signal.SIGKILL)
        left = {one.pid for one in stack.processes()}
        sick = stack.make("status", check=False)
        assert sick.returncode != 0
        assert "not supervised" in sick.stdout
        assert "killed supervisor had left" in stack.up()
        assert left.isdisjoint({one.pid for one in stack.processes()})
        stack.make("status")


def test_down_leaves_nothing(another: NewStack) -> None:
    """After `make down` no process, no listening port, and status and a second down say so."""
    with another() as stack:
        stack.up()
        assert "Stopped" in stack.make("down").stdout
        assert stack.processes() == []
        assert not listeners.busy(stack.https_port)
        assert not listeners.busy(stack.http_port)
        assert "Nothing was running" in stack.make("down").stdout
        status = stack.make("status", check=False)
        assert status.returncode != 0
        assert "make up" in status.stdout


def test_two_starts_at_once_make_one_stack(another: NewStack) -> None:
    """The second waits for the first, finds its work done, and both succeed."""
    with another() as stack:
        words, environ = stack.words("up"), stack.environ()
        both = [
            subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for _ in range(2)
        ]
        said = [one.communicate(timeout=SECONDS)[0] for one in both]
        assert [one.returncode for one in both] == [0, 0], said
        assert sum("one-time password" in text for text in said) == 1
        assert sum("nothing was changed" in text for text in said) == 1
        assert len([one for one in stack.processes() if one.program == "supervisor"]) == 1


def test_a_setting_nobody_knows_stops_the_start(another: NewStack) -> None:
    """The app's own sentence is shown, and nothing runs."""
    with another({"PORTCULLIS_NONSENSE": "1"}) as stack:
        done = stack.make("up", check=False)
        assert done.returncode != 0
        assert "PORTCULLIS_NONSENSE is not a setting of Portcullis" in done.stderr
        assert stack.processes() == []


def test_the_settings_file_is_read(another: NewStack) -> None:
    """A line that is no setting is named by its number; a good one takes effect at the next `make up`."""
    with another() as stack:
        file = stack.state / "settings.env"
        file.write_text("# mine\nPORTCULLIS_HOSTS = localhost\nwhat is this\n")
        done = stack.make("up", check=False)
        assert "settings.env, line 3" in done.stderr
        file.write_text("PORTCULLIS_HOSTS=localhost,127.0.0.1\n")
        assert "Up after" in stack.up()
        file.write_text("PORTCULLIS_HOSTS=localhost,chat.example.org,127.0.0.1\n")
        said = stack.up()
        assert "stopped the former ones" in said
        assert "Made the server certificate" in said
        assert "nothing was changed" in stack.up()


def test_a_failed_start_leaves_nothing_half_started(another: NewStack) -> None:
    """When the app cannot bind, its last words are shown and everything that was started is stopped."""
    with another() as stack:
        (stack.state / "run" / "app.sock" / "something").mkdir(parents=True)
        done = stack.make("up", check=False)
        assert done.returncode != 0
        assert "did not come up, and was stopped again" in done.stderr
        assert "app's last words" in done.stderr
        assert stack.processes() == []


def test_a_world_readable_key_stops_the_start(another: NewStack) -> None:
    """The file is named together with the command that closes it, and nothing is started."""
    with another() as stack:
        key = stack.state / "tls" / "server.key"
        key.parent.mkdir()
        key.touch()
        key.chmod(0o644)
        done = stack.make("up", check=False)
        assert f"chmod 600 {key}" in done.stderr
        assert stack.processes() == []


def test_clean_deletes_data_and_keeps_settings(another: NewStack) -> None:
    """CONFIRM=yes stops the stack and deletes accounts, keys and logs; the next start begins anew."""
    with another() as stack:
        stack.up()
        first = stack.first_password
        (stack.state / "settings.env").write_text("PORTCULLIS_LOG_LEVEL=INFO\n")
        stack.make("clean", "CONFIRM=yes")
        assert stack.processes() == []
        assert {path.name for path in stack.state.iterdir()} == {"venv", "uv", "settings.env", ".lock"}
        assert "admin" in stack.up()
        assert stack.first_password not in ("", first)


class Squatter(BaseHTTPRequestHandler):
    """Somebody else's server."""


def test_a_taken_port_is_named_with_its_holder(another: NewStack) -> None:
    """The sentence names the port, who has it and how to choose another; nothing is changed."""
    with another() as stack, HTTPServer(("127.0.0.1", stack.https_port), Squatter) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        before = sorted(path.name for path in stack.state.iterdir())
        done = stack.make("up", check=False)
        assert f"Port {stack.https_port} is taken by" in done.stderr
        assert f"(process {os.getpid()})" in done.stderr
        assert "make up PORTCULLIS_HTTPS_PORT=" in done.stderr
        assert sorted(path.name for path in stack.state.iterdir()) == before
        socket.create_connection(("127.0.0.1", stack.https_port)).close()
