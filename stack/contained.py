"""The stack in containers on one host: docker-compose.yml, its images, and volumes for what is kept."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from stack import (
    backup,
    base_image,
    certificate,
    compose,
    contained_doctor,
    contained_settings,
    engine,
    health,
    images,
    lock,
    log_search,
    record,
    sbom,
    snapshot,
)
from stack.contained_rollout import ContainedRollout
from stack.contained_rotation import ContainedRotation
from stack.contained_start import ContainedStart
from stack.embedded import KEPT
from stack.place import Place
from stack.problem import Problem

LINES = "40"
EDGE_FOLDER = "/var/lib/portcullis/logs"
EDGE_LOG = f"{EDGE_FOLDER}/edge-access.log"


def say(sentence: str) -> None:
    """Progress, while something goes on."""
    print(f"  {sentence}", file=sys.stderr, flush=True)


class Contained:
    """Implements stack.shape.Shape."""

    def __init__(self, place: Place, settings: Mapping[str, str]) -> None:
        found = record.read(place.record)
        self.asked, self.asked_settings = place, settings
        # What runs was started with its own ports and settings; only `up` may change them.
        self.place = record.as_started(place, found) if found else place
        self.settings = found.settings if found else dict(settings)
        self.cannot = found.cannot if found else []

    @property
    def made(self) -> bool:
        """Whether `up` has ever come as far as the containers."""
        return (compose.folder(self.place) / "compose.env").exists()

    def up(self) -> None:
        """Start what `self.asked` and its settings describe."""
        ContainedStart(self.asked, self.asked_settings).run()

    def rollout(self) -> None:
        """Replace the app that runs by what `self.asked` and its settings describe."""
        if not self.made:
            raise Problem("There is no stack here yet. Start it: make up")
        ContainedRollout(self.place, self.asked_settings).run()

    def down(self) -> bool:
        """Stop everything: the app first, draining while the edge still carries its words to the clients."""
        if not self.made:
            return False
        with lock.exclusive(self.place, lambda text: print(text, flush=True)):
            return self._stop()

    def _stop(self, *more: str) -> bool:
        found = compose.states(self.place)
        if "app" in found:
            compose.run(self.place, "stop", "--timeout", str(contained_settings.stop_seconds(self.settings)), "app")
        compose.run(self.place, "down", "--remove-orphans", *more)
        compose.drop_networks(self.place)
        return bool(found)

    def status(self) -> bool:
        """One line per container, then what is wrong, where things are and what this machine cannot do."""
        found = compose.states(self.place)
        if not found:
            print(f"Portcullis in {self.place.state} is not running. Start it: make up")
            return False
        for one in found.values():
            print(f"  {one.service:<12} {one.status:<10} {one.health:<10} {one.image}")
        wrong = compose.ill(found)
        served = None if wrong else health.unserved(self.place)
        wrong += [served] if served else []
        for line in wrong:
            print(f"  wrong        {line}")
        self._facts()
        print("healthy" if not wrong else "not healthy; `make up` repairs it, `make logs` says more")
        return not wrong

    def _facts(self) -> None:
        print(f"  page         {self.place.url}")
        print(f"  socket       wss://localhost:{self.place.https_port}/ws/chat")
        print(f"  state        {self.place.state}, and the volumes of {compose.project(self.place)}")
        print(f"  CA           {certificate.trusted_by(self.place)}")
        print(f"  certificate  valid until {certificate.expiry(certificate.server(self.place))}")
        for line in self.cannot:
            print(f"  cannot       {line}")

    def logs(self) -> None:
        """Follow what every container says, and the edge's own logs; ends with the terminal's interrupt."""
        self._require()
        tail = ["docker", *compose.words(self.place, "exec", "--no-TTY", "edge", "tail", "-n", LINES, "-F", EDGE_LOG)]
        edge = subprocess.Popen(tail, env=engine.environ(), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            engine.show(compose.words(self.place, "logs", "--follow", "--tail", LINES))
        except KeyboardInterrupt:
            print()
        finally:
            edge.terminate()
            edge.wait()

    def logged(self, request_id: str) -> list[str]:
        """What edge and app have of a request: the edge's files first."""
        self._require()
        # grep ends with 1 where it finds nothing.
        edge = compose.attempt(self.place, "exec", "--no-TTY", "edge", "grep", "-rhF", request_id, EDGE_FOLDER)
        # The engine itself: compose adds words for a terminal to the lines.
        apps = [engine.attempt("logs", one) for one in compose.ids(self.place, "app")]
        said = [line for app in apps for text in (app.stdout, app.stderr) for line in text.splitlines()]
        return [*edge.stdout.splitlines(), *log_search.with_id(said, request_id)]

    def app(self, *words: str) -> str:
        """Run the app's command line beside the server, or in a container of its own while that is down."""
        self._require()
        app = compose.states(self.place).get("app")
        # The server may not write keys.
        if app and app.status == "running" and words[0] != "keys":
            return self._asked("exec", "--no-TTY", "app", "python", "-m", "app", *words)
        return self._asked("run", "--rm", "--no-TTY", "migrate", "python", "-m", "app", *words)

    def _asked(self, *words: str) -> str:
        done = compose.attempt(self.place, *words)
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise Problem(said[-1] if said else f"The command ended with {done.returncode} and no words.")
        return done.stdout.rstrip("\n")

    def metrics(self) -> str:
        """The app's families first, then the edge's."""
        self._require()
        return self._asked("exec", "--no-TTY", "counter", "python3", "-m", "stack.counter", "metrics") + "\n"

    def _require(self) -> None:
        if not self.made:
            raise Problem("There is no stack here yet. Start it: make up")

    def backup(self, target: Path | None) -> Path:
        """One snapshot of the database, tried out."""
        self._require()
        return backup.write(self.place, target, self.asked_settings.get("PORTCULLIS_BACKUP_RECIPIENT", ""), say)

    def drill(self, source: Path | None, identity: Path | None) -> str:
        """In a database of its own, on the server that runs."""
        self._require()
        return backup.drill(self.place, snapshot.chosen(self.place, source), identity)

    def restore(self, source: Path, identity: Path | None) -> None:
        """The backup's database in the place of the present one, with new keys; the chat runs afterwards."""
        snapshot.check(source, identity, backup.KIND)
        if not self.made:
            ContainedStart(self.asked, self.asked_settings).run()
        with lock.exclusive(self.place, say):
            compose.run(self.place, "up", "--detach", "--no-recreate", "--wait", "postgres")
            compose.run(self.place, "stop", "--timeout", str(contained_settings.stop_seconds(self.settings)), "app")
            say("the app is stopped")
            try:
                backup.restore(self.place, source, identity, say)
                for words in snapshot.renewal(self.settings, say):
                    self.app(*words)
            finally:
                compose.run(self.place, "up", "--detach", "--no-deps", "--no-recreate", "--wait", "app")
        say("offsets have a new epoch, sessions are ended, keys are new")
        ContainedStart(self.asked, self.asked_settings).run()

    def rotate(self) -> None:
        """New passwords and a new signing key; clients resume."""
        self._require()
        ContainedRotation(self.place, self.settings).run()

    def psql(self) -> int:
        """As the database's superuser: it can do everything."""
        self._require()
        tty = [] if sys.stdin.isatty() else ["--no-TTY"]
        psql = ("postgres", "psql", "--username=postgres", backup.DATABASE)
        return engine.show(compose.words(self.place, "exec", *tty, *psql))

    def doctor(self) -> bool:
        """A line for each thing that was looked at."""
        self._require()
        found = list(contained_doctor.findings(self.place))
        for how, what, said in found:
            print(f"  {how:<6} {what:<20} {said}")
        return all(how != "wrong" for how, _, _ in found)

    def sbom(self) -> list[Path]:
        """One CycloneDX document for each image."""
        return sbom.write(self.place)

    def fixes(self) -> bool:
        """New images where something newer is out for any of theirs; returns whether there was."""
        self._require()
        found = {target: base_image.upgradable(name) for target, name in images.names(self.place.clone).items()}
        for target, names in found.items():
            print(f"  {target:<14} {', '.join(names) or 'nothing newer is out'}", flush=True)
        if not any(found.values()):
            return False
        with lock.exclusive(self.place, say):
            base_image.renew()
            say(f"{base_image.NAME} has every fix that is out")
            ContainedStart(self.place, self.settings).build()
        return True

    def holdings(self) -> str:
        """Accounts and messages, keys, certificates and logs."""
        where = f"{self.place.state} and in the volumes of {compose.project(self.place)}"
        return f"all accounts and messages, keys, certificates and logs in {where}"

    def delete(self) -> None:
        """Stop, then delete the volumes and everything in the state folder but the operator's settings."""
        if not self.place.state.exists():
            return
        with lock.exclusive(self.place, lambda text: print(text, flush=True)):
            if self.made:
                self._stop("--volumes")
            for path in self.place.state.iterdir():
                if path.name not in KEPT:
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
