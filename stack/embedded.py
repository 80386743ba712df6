"""The stack of a machine without a container engine: one supervisor, SQLite, everything in one state folder."""

from __future__ import annotations

import http.client
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from stack import (
    app_command,
    certificate,
    edge_config,
    edge_counts,
    embedded_backup,
    exposition,
    facts,
    health,
    knobs,
    lock,
    log_search,
    processes,
    programs,
    record,
    snapshot,
    supervision,
    unix_http,
)
from stack.place import Place
from stack.problem import Problem
from stack.start import Start

LINES = 40
KEPT = ("venv", "uv", "code", "dev", "tools", "settings.env", ".lock")
"""What `make clean` leaves: nothing in it is data, and a new start needs it."""


def say(sentence: str) -> None:
    """Progress, while something goes on."""
    print(f"  {sentence}", file=sys.stderr, flush=True)


class Embedded:
    """Implements stack.shape.Shape."""

    def __init__(self, place: Place, settings: Mapping[str, str]) -> None:
        found = record.read(place.record)
        self.asked, self.asked_settings = place, settings
        # What runs was started with its own ports and settings; only `up` may change them.
        self.place = record.as_started(place, found) if found else place
        self.settings = found.settings if found else dict(settings)
        self.cannot = found.cannot if found else []
        self.unwatched = found.unwatched if found else ""

    @property
    def made(self) -> bool:
        """Whether there is anything that the app could be asked about; `make clean` leaves its environment."""
        return self.place.python.exists() and self.place.run.exists()

    def up(self) -> None:
        """Start what `self.asked` and its settings describe."""
        Start(self.asked, self.asked_settings).run()

    def rollout(self) -> None:
        """See stack.shape.Shape."""
        raise Problem(
            "One process owns the store here, so nothing can take over from it: `make up` restarts it, paced."
        )

    def down(self) -> bool:
        """Stop app, edge and mtail in this order, the app draining while the edge still serves."""
        if not self.place.state.exists():
            return False
        with lock.exclusive(self.place, lambda text: print(text, flush=True)):
            return self._stop()

    def _stop(self) -> bool:
        seconds = programs.stop_seconds(self.settings)
        supervised = supervision.end(self.place, seconds)
        return bool(processes.stop(self.place, seconds)) or supervised

    def status(self) -> bool:
        """One line per program, then what is wrong, where things are and what this machine cannot do."""
        running = processes.ours(self.place)
        if not running:
            print(f"Portcullis in {self.place.state} is not running. Start it: make up")
            return False
        states = supervision.states(self.place)
        for one in states:
            print(f"  {one.name:<12} {one.state.lower():<10} {one.detail}")
        wrong, blind = health.problems(self.place), health.blind(states)
        for line in wrong + blind:
            print(f"  wrong        {line}")
        self._facts()
        healthy = "the chat is healthy, but not watched; `make logs` says more" if blind else "healthy"
        print("not healthy; `make up` repairs it, `make logs` says more" if wrong else healthy)
        return not wrong + blind

    def _facts(self) -> None:
        print(f"  page         {self.place.url}")
        print(f"  socket       wss://localhost:{self.place.https_port}/ws/chat")
        print(f"  state        {self.place.state}")
        print(f"  CA           {certificate.trusted_by(self.place)}")
        print(f"  certificate  valid until {certificate.expiry(certificate.server(self.place))}")
        for line in self.cannot:
            print(f"  cannot       {line}")
        if self.unwatched:
            print(f"  no charts    at {self.place.url}ops: {self.unwatched}")

    def logs(self) -> None:
        """Follow every log; ends with the terminal's interrupt."""
        found = sorted(self.place.logs.rglob("*.log"))
        if not found:
            raise Problem(f"There are no logs in {self.place.logs} yet. Start the stack: make up")
        words: list[str | Path] = ["tail", f"--lines={LINES}", "--follow=name", "--retry", *found]
        try:
            subprocess.run(words, check=False)
        except KeyboardInterrupt:
            print()

    def logged(self, request_id: str) -> list[str]:
        """What the logs have of a request, the oldest file first."""
        return list(log_search.in_folders([self.place.logs, self.place.program_logs], request_id))

    def app(self, *words: str) -> str:
        """Run the app's command line with the settings the stack was started with."""
        self._require()
        return app_command.run(self.place, self.settings, *words)

    def _require(self) -> None:
        if not self.made:
            raise Problem("There is no stack here yet. Start it: make up")

    def metrics(self) -> str:
        """The app's families first, then the edge's and what the host knows."""
        app = self._exposition("app", health.private_socket(self.place))
        edge = edge_counts.completed(self._exposition("mtail", edge_config.mtail_socket(self.place)))
        return exposition.merge([app, edge, facts.exposed(self.place)])

    def _exposition(self, name: str, path: Path) -> str:
        try:
            status, text = unix_http.get(path, "/metrics")
        except (OSError, http.client.HTTPException) as error:
            raise Problem(f"{name} does not give its metrics ({error}). Is the stack up? make status") from None
        if status != http.HTTPStatus.OK:
            raise Problem(f"{name} answers {status} when asked for its metrics.")
        return text

    def backup(self, target: Path | None) -> Path:
        """A copy of the database, tried out."""
        self._require()
        settings = self.settings | {key: value for key, value in self.asked_settings.items() if key in knobs.NAMES}
        return embedded_backup.write(self.place, settings, target, say)

    def drill(self, source: Path | None, identity: Path | None) -> str:
        """In a file of its own."""
        self._require()
        return embedded_backup.drill(self.place, self.settings, snapshot.chosen(self.place, source), identity)

    def restore(self, source: Path, identity: Path | None) -> None:
        """The backup's database in the place of the present one, with new keys; the chat runs afterwards."""
        snapshot.check(source, identity, embedded_backup.KIND)
        if not self.made:
            Start(self.asked, self.asked_settings).run()
        with lock.exclusive(self.place, say):
            say(f"read: {embedded_backup.look(self.place, self.settings, source, identity)}")
            self._stop()
            say("the chat is stopped")
            try:
                embedded_backup.restore(self.place, self.settings, source, identity)
                for words in snapshot.renewal(self.settings, say):
                    self.app(*words)
                say("offsets have a new epoch, sessions are ended, keys are new")
            except Problem as problem:
                raise Problem(f"{problem}\nThe chat is stopped. Start it with what it has now: make up") from None
        Start(self.asked, self.asked_settings).run()

    def rotate(self) -> None:
        """A new signing key; there is no server with a password."""
        print(self.app("keys", "rotate"))

    def psql(self) -> int:
        """See stack.shape.Shape."""
        raise Problem(f"The store is a file of SQLite's: sqlite3 -readonly {self.place.data / 'chat.db'}")

    def doctor(self) -> bool:
        """What `status` says."""
        return self.status()

    def sbom(self) -> list[Path]:
        """See stack.shape.Shape."""
        raise Problem("Nothing is in an image here: requirements/run.txt is all that is installed, hash by hash.")

    def fixes(self) -> bool:
        """See stack.shape.Shape."""
        raise Problem("nginx, mtail and Python are the machine's own here: apt-get upgrade, then make up.")

    def holdings(self) -> str:
        """Accounts and messages, keys, certificates and logs."""
        return f"all accounts and messages, keys, certificates and logs in {self.place.state}"

    def delete(self) -> None:
        """Stop, then delete everything but the environment and the operator's settings."""
        if not self.place.state.exists():
            return
        with lock.exclusive(self.place, lambda text: print(text, flush=True)):
            self._stop()
            for path in self.place.state.iterdir():
                if path.name not in KEPT:
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
