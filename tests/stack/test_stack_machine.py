"""`make up` on machines that lack something, and for people who may do less."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.stack.conftest import NewStack, Person
from tests.stack.running import ROOT, SEEDED, RunningStack, new_stack

WITHOUT_NGINX = ("unshare", "--mount", "sh", "-c", 'mount --bind /dev/null /usr/sbin/nginx && exec "$@"', "sh")
"""A private view of the file system in which nginx is not installed."""
WITHOUT_PROMETHEUS = tuple(word.replace("/usr/sbin/nginx", "/usr/bin/prometheus") for word in WITHOUT_NGINX)


def own(stack: RunningStack, person: Person) -> None:
    """Give the stack's folder to `person`, with an environment of its own to spare the installation."""
    subprocess.run(["chown", "-R", "--no-dereference", person.name, stack.state.parent], check=True)


def copy_environment(source: Path, state: Path) -> None:
    """A real copy: linked files would change their owner in both places."""
    state.mkdir(mode=0o755)
    for name in SEEDED:
        subprocess.run(["cp", "-a", source / name, state / name], check=True)


def test_an_ordinary_user_has_a_whole_stack(stack: RunningStack, person: Person) -> None:
    """Without any right beyond their own, `make up`, user, token, metrics, status and down work, Prometheus too."""
    with new_stack(before=person.before, watched=True) as mine:
        copy_environment(stack.state, mine.state)
        own(mine, person)
        assert "speak to it over WSS" in mine.up()
        assert {one.program for one in mine.processes()} > {"prometheus", "carrier"}
        owners = {Path(f"/proc/{one.pid}").stat().st_uid for one in mine.processes()}
        assert owners == {mine.state.stat().st_uid} != {0}
        mine.user("alice")
        assert mine.token("alice").count(".") == 2
        assert "chat_connections" in mine.metrics()
        assert "nothing was changed" in mine.up()


def test_an_ordinary_user_without_nginx_gets_the_command(stack: RunningStack, person: Person) -> None:
    """What is missing is named with the exact command, and nothing is changed."""
    with new_stack(before=(*WITHOUT_NGINX, *person.before)) as mine:
        own(mine, person)
        done = mine.make("up", check=False)
        assert done.returncode != 0
        assert "sudo apt-get install --no-install-recommends nginx" in done.stderr
        assert not mine.state.exists()


def test_without_prometheus_everything_else_runs(stack: RunningStack) -> None:
    """`make up` and `make status` say why there are no charts and what to do."""
    with new_stack(seed=stack.state, before=WITHOUT_PROMETHEUS, watched=True) as mine:
        for said in (mine.up(), mine.make("status").stdout):
            assert "Prometheus is not installed. Install" in said
        assert {one.program for one in mine.processes()}.isdisjoint({"prometheus", "carrier"})


def test_another_users_stack_is_left_alone(stack: RunningStack, person: Person) -> None:
    """Who did not start the stack is told whose it is, and can neither read nor stop it."""
    words = ["make", "-s", "-C", str(ROOT)]
    for target in ("metrics", "down", "up"):
        done = subprocess.run(
            [*person.before, *words, target], env=stack.environ(), capture_output=True, text=True, check=False
        )
        assert done.returncode != 0, target
        assert "another user" in done.stderr, done.stderr
    assert stack.make("status").returncode == 0


def test_all_failures_are_listed_at_once(another: NewStack) -> None:
    """Too few files, a full disk: each has its sentence, and nothing is changed."""
    small = 'mount -t tmpfs -o size=20m tmpfs "$PORTCULLIS_STATE" && exec "$@"'
    with another(before=("unshare", "--mount", "sh", "-c", small, "sh", "prlimit", "--nofile=1024:1024")) as mine:
        before = sorted(path.name for path in mine.state.iterdir())
        done = mine.make("up", check=False)
        assert done.returncode != 0
        assert "Nothing was changed" in done.stderr
        assert "may open only 1024 files" in done.stderr
        assert "MiB are free" in done.stderr
        assert sorted(path.name for path in mine.state.iterdir()) == before


def test_a_clock_before_the_clone_is_noticed(stack: RunningStack) -> None:
    """A clone from the future means a clock in the past."""
    with new_stack() as mine:
        mine.clone = clone_to(mine.state.parent / "clone")
        lock = mine.clone / "requirements" / "run.txt"
        os.utime(lock, (4_000_000_000, 4_000_000_000))
        done = mine.make("up", check=False)
        assert "earlier than this copy of Portcullis" in done.stderr
        assert not mine.state.exists()


def test_a_clone_out_of_reach_is_copied(another: NewStack) -> None:
    """Where only root can look, root's stack runs from a copy, says so, and follows changes of the clone."""
    with another() as mine:
        closed = mine.state.parent / "closed"
        closed.mkdir(mode=0o700)
        mine.clone = clone_to(closed / "clone")
        assert "its code was copied" in mine.up()
        assert mine.make("status").returncode == 0
        assert "nothing was changed" in mine.up()
        page = mine.clone / "app" / "web" / "new.txt"
        page.parent.mkdir(exist_ok=True)
        page.write_text("new")
        assert "stopped the former ones" in mine.up()


def test_a_state_folder_out_of_reach_is_refused(stack: RunningStack) -> None:
    """Root's stack cannot live where its service users may not go."""
    with new_stack() as mine:
        mine.state.parent.chmod(0o700)
        done = mine.make("up", check=False)
        assert "cannot enter" in done.stderr
        assert "PORTCULLIS_STATE" in done.stderr
        assert not mine.state.exists()


def clone_to(folder: Path) -> Path:
    """A copy of what the stack is made of."""
    folder.mkdir(mode=0o755)
    for name in ("app", "monitoring", "stack", "nginx", "certs", "requirements"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".env.example", folder)
    shutil.copy(ROOT / "Makefile", folder)
    return folder
