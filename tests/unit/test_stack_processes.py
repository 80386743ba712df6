"""Recognising our own processes, and no one else's."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from stack import lock, processes, programs, record
from stack.place import Place
from stack.problem import Problem
from stack.processes import Process, recognise

HERE = Place(Path("/clone"), Path("/s"))
PYTHON = "/s/venv/bin/python"


@pytest.mark.parametrize(
    ("argv", "cwd", "program"),
    [
        ([PYTHON, "-m", "supervisor.supervisord", "-c", "x"], "/", "supervisor"),
        ([PYTHON, "-m", "gunicorn", "x"], "/s/run", "app"),
        ([PYTHON, "-m", "stack.rotation", "/s"], "/s/edge", "rotation"),
        ([PYTHON, "-m", "app", "user", "alice"], "/s/run", None),
        (["/other/venv/bin/python", "-m", "gunicorn"], "/s/run", None),
        (["nginx: worker process"], "/s/edge", "edge"),
        (["nginx: worker process"], "/var/www", None),
        (["nginx: master process /usr/sbin/nginx -c /s/edge/nginx.conf"], "/", "edge"),
        (["nginx: master process /usr/sbin/nginx -c /etc/nginx/nginx.conf"], "/", None),
        (["/usr/bin/mtail", "--progs=/s/edge/mtail", "--logs=/s/edge/log/access"], "/", "mtail"),
        (["/usr/bin/mtail", "--progs=/etc/mtail"], "/", None),
        (["/usr/bin/prometheus", "--config.file=/s/prometheus/prometheus.yml"], "/", "prometheus"),
        (["/usr/bin/prometheus", "--config.file=/etc/prometheus/prometheus.yml"], "/", None),
        ([PYTHON, "-m", "stack.carrier", "/s", "9091"], "/s/edge", "carrier"),
        (["tail", "-f", "/s/edge/log/access"], "/s/edge", None),
        (["bash"], "/s/edge", None),
        ([""], "", None),
    ],
)
def test_recognise(argv: list[str], cwd: str, program: str | None) -> None:
    """Programs by their command line, nginx's workers by the folder they inherit; shells and tails are strangers."""
    assert recognise(argv, cwd, HERE) == program


def test_only_the_very_process_is_signalled(tmp_path: Path) -> None:
    """A pid that now belongs to another process is left alone."""
    place = Place(tmp_path, tmp_path)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        processes.send([Process(stranger.pid, 1, 1, "app")], signal.SIGKILL, place)
        assert stranger.poll() is None
        stranger.communicate(b"\n")
    assert stranger.returncode == 0


def test_the_lock_is_exclusive(tmp_path: Path) -> None:
    """The second holder is told who has the lock, and gives up after its patience; afterwards it is free."""
    place, said = Place(tmp_path, tmp_path), list[str]()
    with (
        lock.exclusive(place, said.append),
        pytest.raises(Problem, match="busy"),
        lock.exclusive(place, said.append, seconds=0),
    ):
        pass
    with lock.exclusive(place, said.append) as waited:
        assert not waited


def test_who_waits_learns_of_it(tmp_path: Path) -> None:
    """The second holder goes on when the first is done, and knows that the world may have changed."""
    place, entered, waited = Place(tmp_path, tmp_path), threading.Event(), list[bool]()

    def second() -> None:
        with lock.exclusive(place, lambda _: entered.set()) as had_to_wait:
            waited.append(had_to_wait)

    with lock.exclusive(place, lambda _: None):
        thread = threading.Thread(target=second)
        thread.start()
        assert entered.wait(10)
    thread.join(10)
    assert waited == [True]


def test_a_command_is_tried_until_its_time_is_over() -> None:
    """What it said as soon as it could; else why it could not the last time."""
    problems = [Problem("first"), Problem("second")]

    def command() -> str:
        if problems:
            raise problems.pop(0)
        return "said"

    assert processes.patiently(command, 10) == "said"
    problems.extend([Problem("third"), Problem("fourth")])
    with pytest.raises(Problem, match="third"):
        processes.patiently(command, -1)


def test_the_record_survives(tmp_path: Path) -> None:
    """What was written is read again; a broken or missing record is none; its mode is 0600."""
    path = tmp_path / "started.json"
    assert record.read(path) is None
    mine = record.Record(1, 2, "f", {"PORTCULLIS_HOSTS": "a"}, ["no"])
    record.write(path, mine)
    assert record.read(path) == mine
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("{")
    assert record.read(path) is None


def test_the_supervisor_waits_longer_than_the_app_drains() -> None:
    """drain < graceful < stopwaitsecs, whatever graceful is set to."""
    assert programs.stop_seconds({}) > 40
    assert programs.stop_seconds({"PORTCULLIS_GRACEFUL_SECONDS": "120"}) > 130
