"""`make up` of the embedded stack, step by step."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from stack import (
    app_command,
    certificate,
    edge_config,
    embedded_watch,
    folders,
    health,
    interpreter,
    lock,
    machine,
    packages,
    processes,
    programs,
    record,
    settings_file,
    shape,
    supervision,
    unix_user,
)
from stack.environment import Environment
from stack.place import Place
from stack.problem import Problem
from stack.steps import Steps

READY_SECONDS = 40.0
PROBE_ATTEMPTS = 3
"""Readiness was awaited before; more would use up the address's handshakes."""
PROBE = "health-probe"
"""The account whose token opens the last step's socket. It has a password nobody knows and joins no room."""


class Start:
    """One run of `make up`. Each method is one step; a step that finds its work done changes nothing."""

    def __init__(self, place: Place, settings: Mapping[str, str]) -> None:
        self.place, self.settings = place, settings
        self.steps = Steps()
        self.password = ""
        self.cannot: list[str] = []
        self.unwatched = ""

    def run(self) -> None:
        """All steps, then what the person should know. Nothing half-started is left when one fails."""
        print(f"Portcullis in {self.place.state}", flush=True)
        self.check_machine()
        with lock.exclusive(self.place, self.steps.say) as waited:
            if waited:
                self.check_machine()
            self.watch_or_not()
            shape.mark(self.place, shape.EMBEDDED)
            try:
                self.prepare()
                self.serve()
            finally:
                self.show_password()
        self.tell()

    def check_machine(self) -> None:
        """Every reason not to start, at once and before anything is changed."""
        with self.steps.step("check the machine"):
            embedded_watch.own_port(self.settings)
            found = machine.problems(self.place)
            if found:
                raise Problem("Nothing was changed, because:\n" + "\n".join(f"  - {line}" for line in found))

    def watch_or_not(self) -> None:
        """People chat just as well where Prometheus cannot be had, so that is no reason not to start."""
        self.unwatched = embedded_watch.absent(self.place, self.settings)
        if self.unwatched:
            self.settings = embedded_watch.without(self.settings)

    def prepare(self) -> None:
        """Everything but keys, store and processes."""
        self.install_packages()
        self.make_folders()
        self.make_environment()
        self.make_certificates()

    def install_packages(self) -> None:
        """nginx, mtail and what else is missing."""
        with self.steps.step("install packages") as notes:
            names = packages.missing()
            if names:
                self.steps.say(f"         installing with apt-get: {' '.join(names)}")
                packages.install(names)
                notes.append(" ".join(names))

    def make_folders(self) -> None:
        """The service users, the folders they own, and the code where they can reach it."""
        with self.steps.step("prepare users and folders") as notes:
            notes += [f"new user {name}" for name in unix_user.create(watched=self.watched)]
            if not self.place.run.exists():
                notes.append(str(self.place.state))
            folders.make(self.place)
            if folders.copy_code(self.place):
                notes.append(f"{self.place.clone} is out of the service users' reach, so its code was copied here")
            embedded_watch.write(self.place, self.settings)

    @property
    def watched(self) -> bool:
        """Whether Prometheus is one of the programs."""
        return embedded_watch.command(self.settings) is not None

    def make_environment(self) -> None:
        """The hash-locked runtime environment."""
        with self.steps.step("make the Python environment") as notes:
            python = interpreter.choose()
            if python is None:
                raise Problem(str(machine.python(None)))
            lock = self.place.clone / "requirements" / "run.txt"
            environment = Environment(self.place.venv, lock, self.place.state / "uv", python)
            if not environment.current():
                self.stop_old()
                environment.make()
                notes.append(f"with {python}")

    def make_certificates(self) -> None:
        """The local CA, the server's certificate and the edge's configuration."""
        with self.steps.step("make certificates") as notes:
            notes.extend(certificate.make(self.place, self.settings))
        with self.steps.step("configure the edge"):
            self.cannot = edge_config.write(self.place, self.settings)
        if health.shows_former(self.place):
            with self.steps.step("show the new certificate") as notes:
                notes.append("no socket was dropped")
                supervision.reload(self.place, "edge")
                if not processes.until(lambda: not health.shows_former(self.place), READY_SECONDS):
                    raise Problem("The edge goes on with its former certificate; `make logs` says why.")

    def serve(self) -> None:
        """Keys, store, processes, and the proof that they work."""
        text = programs.render(self.place, self.settings)
        fingerprint = self.fingerprint(text)
        if not self.up_to_date(fingerprint):
            self.prepare_store()
        try:
            self.start_processes(text, fingerprint)
            self.prove()
        except BaseException:
            self.stop_old()
            raise

    def prepare_store(self) -> None:
        """The app checks its settings, makes keys where there are none, migrates, and makes the first account."""
        with self.steps.step("check settings, make keys, migrate the store") as notes:
            before = self.key_files()
            self.password = app_command.run_several(
                self.place, self.settings, "check", "keys init", "migrate", "bootstrap"
            )
            made = len(self.key_files() - before)
            notes.extend([f"{made} in {self.place.secrets}"] if made else [])
            notes.extend(["the administrator's account `admin`"] if self.password else [])

    def key_files(self) -> set[Path]:
        """The secrets that are there."""
        return set(self.place.secrets.rglob("*"))

    def start_processes(self, text: str, fingerprint: str) -> None:
        """One supervisor with everything; an old one goes first when anything it was started with has changed."""
        with self.steps.step("start the processes") as notes:
            if self.up_to_date(fingerprint):
                self.write_record(fingerprint)
                return
            notes.extend(self.stop_old())
            (self.place.supervision / "supervisord.conf").write_text(text)
            self.write_record(fingerprint)
            supervision.start(self.place, app_command.environ(self.place, self.settings))
            notes.append("app, edge, mtail, Prometheus" if self.watched else "app, edge, mtail")
            self.wait_ready()

    def fingerprint(self, supervisor_text: str) -> str:
        """One hash over all that the processes were made from."""
        parts = [
            supervisor_text,
            json.dumps(settings_file.for_app(self.place, self.settings), sort_keys=True),
            folders.digest(self.place.code),
            edge_config.digest(self.place),
            (self.place.venv / "made-from").read_text(),
        ]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def up_to_date(self, fingerprint: str) -> bool:
        """Whether just this is running, and well."""
        found = record.read(self.place.record)
        return found is not None and found.fingerprint == fingerprint and not health.problems(self.place)

    def stop_old(self) -> list[str]:
        """Stop what runs of this stack, leftovers of a killed supervisor included; returns words about it."""
        seconds = programs.stop_seconds(self.settings)
        supervised = supervision.end(self.place, seconds)
        left = processes.stop(self.place, seconds)
        names = ", ".join(sorted({one.program for one in left}))
        words = ["stopped the former ones"] if supervised else []
        return words + ([f"ended what a killed supervisor had left: {names}"] if left else [])

    def write_record(self, fingerprint: str) -> None:
        """Leave word for later commands."""
        found = record.Record(
            self.place.https_port,
            self.place.http_port,
            fingerprint,
            dict(self.settings),
            self.cannot,
            unwatched=self.unwatched,
        )
        if record.read(self.place.record) != found:
            record.write(self.place.record, found)

    def wait_ready(self) -> None:
        """Until the app is ready; a program that keeps failing is reported with its last words."""

        failing: list[str] = []

        def settled() -> bool:
            # Kept: a moment later the supervisor tries again, and what failed looks like starting.
            failing[:] = self.failing()
            return failing != [] or not health.problems(self.place)

        if not processes.until(settled, READY_SECONDS) or failing:
            raise Problem(self.last_words(failing))

    def failing(self) -> list[str]:
        """The programs that the chat needs and that ended by themselves; the supervisor will start them again."""
        bad = ("BACKOFF", "FATAL", "EXITED")
        found = supervision.states(self.place)
        return [one.name for one in found if one.state in bad and one.name in health.EXPECTED]

    def last_words(self, failing: Sequence[str]) -> str:
        """Why the stack did not come up: what is wrong, and the end of the logs of what failed."""
        lines = health.problems(self.place)
        for name in failing:
            log = self.place.program_logs / f"{name}.log"
            tail = log.read_text(errors="replace").splitlines()[-8:] if log.exists() else []
            lines += [f"{name}'s last words, from {log}:", *("  " + line for line in tail)]
        return "The stack did not come up, and was stopped again:\n" + "\n".join(f"  {line}" for line in lines)

    def prove(self) -> None:
        """A WSS round trip through the edge."""
        with self.steps.step("speak to it over WSS"):
            token = self.probe_token()
            for _ in range(PROBE_ATTEMPTS):
                wrong = health.silent(self.place, token)
                if not wrong:
                    return
            raise Problem(f"The stack was stopped again, because {wrong}.")

    def probe_token(self) -> str:
        """A token of the probe's account, which is made the first time; its password is forgotten at once."""
        done = app_command.attempt(self.place, self.settings, "token", PROBE)
        if done.returncode:
            app_command.run(self.place, self.settings, "user", PROBE)
            return app_command.run(self.place, self.settings, "token", PROBE)
        return done.stdout.strip()

    def show_password(self) -> None:
        """The first administrator's password: shown now or never, since it is stored nowhere."""
        if self.password:
            print(f"\n  Sign in as       admin\n  one-time password {self.password}  (shown only now)", flush=True)

    def tell(self) -> None:
        """Where it is, how to trust it and what to try."""
        ill = [f"{line}; `make logs` says more" for line in health.blind(supervision.states(self.place))]
        blind = "".join(
            f"  No charts        at {self.place.url}ops: {line}\n" for line in [self.unwatched, *ill] if line
        )
        if not self.steps.changed:
            print(f"\nAlready up: nothing was changed ({self.steps.seconds:.1f} s).")
        else:
            print(f"\nUp after {self.steps.seconds:.1f} s.")
        print(
            f"  Open             {self.place.url}\n"
            f"{certificate.advice(self.place)}"
            f"{blind}"
            "  Try next         make user NAME=alice    make status    make -s metrics    make logs    make down"
        )
