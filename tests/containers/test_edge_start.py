"""containers/edge/serve.sh: when an edge of a cluster begins to answer, and with which configuration."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stack import engine, images
from stack.place import CLONE
from stack.unix_http import UnixConnection
from tests.containers.peers import HARDENED
from tests.patience import PATIENCE, until

EDGE = 10002
CONFIGURATION = """
error_log stderr;
pid /tmp/nginx.pid;
events {}
http {
    access_log off;
    client_body_temp_path /tmp/1;
    proxy_temp_path /tmp/2;
    fastcgi_temp_path /tmp/3;
    uwsgi_temp_path /tmp/4;
    scgi_temp_path /tmp/5;
    server {
        listen unix:/var/lib/portcullis/edge/answers.sock;
        location / { return 200 WORD; }
    }
}
"""


class Edge:
    """One in a container, without a relay as yet."""

    def __init__(self, folder: Path, seconds: int) -> None:
        self.folder = folder
        for path in (folder, folder / "edge", folder / "run"):
            path.mkdir(mode=0o755, exist_ok=True)
            os.chown(path, EDGE, EDGE)
        self.configure("first")
        words = ("run", "--detach", "--network=none", "--tmpfs=/tmp:mode=1777", f"--user={EDGE}:{EDGE}", *HARDENED)
        place = f"--volume={folder}:/var/lib/portcullis"
        image = images.names(CLONE)["edge"]
        self.container = engine.run(*words, place, image, "sh", "/etc/portcullis/serve.sh", str(seconds)).strip()

    def configure(self, word: str) -> None:
        """What it answers from now on; whole as soon as it is called another."""
        (self.folder / "edge" / "nginx.conf").write_text(CONFIGURATION.replace("WORD", word))
        (self.folder / "edge" / "made").write_text(word)

    def answer(self) -> str:
        """Empty as long as nobody answers."""
        connection = UnixConnection(self.folder / "edge" / "answers.sock", PATIENCE)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read().decode()
        except OSError:
            return ""
        finally:
            connection.close()


@contextmanager
def edge(folder: Path, seconds: int) -> Iterator[Edge]:
    """Gone afterwards."""
    one = Edge(folder, seconds)
    try:
        yield one
    finally:
        engine.run("rm", "--force", one.container)


@contextmanager
def relay(folder: Path) -> Iterator[list[bytes]]:
    """In the relay's place: as long as the list is empty it hangs up, as one does that knows no app that is ready."""
    answers: list[bytes] = []
    path = folder / "run" / "app.sock"
    asked = threading.Semaphore(0)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        os.chown(path, EDGE, EDGE)
        listener.listen()

        def serve() -> None:
            while True:
                connection, _ = listener.accept()
                with connection:
                    if not answers:
                        asked.release()
                        continue
                    if not connection.recv(4096):
                        return
                    connection.sendall(answers[0])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        # It has been asked twice, and so has hung up once to no effect.
        assert asked.acquire(timeout=PATIENCE)
        assert asked.acquire(timeout=PATIENCE)
        yield answers
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(str(path))
        thread.join(PATIENCE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One that the edge's user may reach."""
    for one in (tmp_path, *tmp_path.parents[:2]):
        one.chmod(0o755)
    return tmp_path


def test_nobody_is_answered_until_an_app_is(folder: Path) -> None:
    """Until then clients find another edge; from then on a new configuration is read without a restart."""
    with edge(folder, 600) as one:
        with relay(folder) as answers:
            assert not one.answer()
            answers.append(b"HTTP/1.1 404 Not Found\r\n\r\n")
            until(lambda: one.answer() == "first", "the edge answers")
        one.configure("second")
        until(lambda: one.answer() == "second", "the edge has read its new configuration")


def test_without_any_app_it_says_so_after_a_while(folder: Path) -> None:
    """It is better to be told that the chat is down than not to be answered by anybody."""
    with edge(folder, 2) as one:
        until(lambda: one.answer() == "first", "the edge answers")
