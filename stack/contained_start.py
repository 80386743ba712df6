"""`make up` in containers, step by step."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from stack import (
    app_command,
    certificate,
    compose,
    contained_grafana,
    contained_machine,
    contained_secrets,
    contained_settings,
    contained_watch,
    engine,
    first_password,
    health,
    images,
    lock,
    processes,
    record,
    rollout,
    shape,
)
from stack.place import Place
from stack.problem import Problem
from stack.start import PROBE, PROBE_ATTEMPTS
from stack.steps import Steps

UP_SECONDS = 300.0
ONCE = ("migrate", "edge-config")
QUIETLY = ("--detach", "--remove-orphans")
WELL_SECONDS = 90.0
BARE = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges:true", "--pids-limit=64", "--memory=256m"]


class ContainedStart:
    """One run of `make up`. Each method is one step; a step that finds its work done changes nothing."""

    def __init__(self, place: Place, settings: Mapping[str, str]) -> None:
        self.place, self.settings = place, settings
        self.folder = compose.folder(place)
        self.steps = Steps()
        self.images: dict[str, str] = {}
        self.password = ""
        self.cannot: list[str] = []

    def run(self) -> None:
        """All steps, then what the person should know."""
        print(f"Portcullis in containers, {compose.project(self.place)}, state in {self.place.state}", flush=True)
        with self.steps.step("check the machine"):
            found = contained_machine.problems(self.place, self.settings)
            if found:
                raise Problem("Nothing was changed, because:\n" + "\n".join(f"  - {line}" for line in found))
        with lock.exclusive(self.place, self.steps.say):
            shape.mark(self.place, shape.CONTAINERS)
            try:
                self.build()
                self.prepare()
                self.start()
                self.prove()
            finally:
                self.show_password()
        self.tell()

    def build(self) -> None:
        """Every image whose content the engine has not got yet."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.steps.step("look for the images"):
            self.images = images.names(self.place.clone)
            missing = [target for target, name in self.images.items() if not engine.has_image(name)]
        for target in missing:
            with self.steps.step(f"build {target}") as notes:
                log = self.folder / f"build-{target}.log"
                images.build(self.place.clone, target, self.images[target], self.bundle, log)
                notes.append(self.images[target])

    @property
    def bundle(self) -> str:
        """The CA bundle that the builds trust."""
        return self.settings.get("PORTCULLIS_CA_BUNDLE", "")

    def prepare(self) -> None:
        """Certificates, passwords and the files of settings."""
        self.place.acme.mkdir(mode=0o755, parents=True, exist_ok=True)
        with self.steps.step("make certificates") as notes:
            notes.extend(self.certify())
            certificate.state_expiry(self.place)
            contained_secrets.show(self.place, self.images["app"])
        with self.steps.step("make the stores' passwords") as notes:
            notes.extend(contained_secrets.make(self.place, self.images["app"]))
        with self.steps.step("write the settings"):
            contained_watch.write(self.place, self.images["app"], self.images["alertmanager"])
            contained_grafana.write(self.place, self.settings, self.images["app"])
            self.write("compose.env", contained_settings.for_compose(self.place, self.settings, self.images))
            self.write("app.env", contained_settings.for_app(self.place, self.settings))

    def certify(self) -> list[str]:
        """The local CA and the server's certificate, made by the app's image as the person who asked."""
        self.place.tls.mkdir(mode=0o755, exist_ok=True)
        me = f"--user={os.geteuid()}:{os.getegid()}"
        words = ["run", "--rm", "--network=none", *BARE, me, "--volume", f"{self.place.tls}:/tls"]
        files: list[str] = []
        # At the same paths inside: what is said about them has to mean something outside.
        for word, path in zip(("--given", "--given-key"), certificate.given(self.settings) or (), strict=False):
            words += ["--volume", f"{path}:{path}:ro"]
            files += [word, str(path)]
        command = ["python", "-m", "certs", "--folder", "/tls", *certificate.words(self.settings), *files]
        done = engine.attempt(*words, self.images["app"], *command)
        if done.returncode:
            raise Problem(done.stderr.strip())
        return certificate.said(done.stdout)

    def write(self, name: str, values: Mapping[str, str]) -> None:
        """One file of settings, replaced as a whole."""
        draft = self.folder / f"{name}.draft"
        draft.write_text(contained_settings.text(values))
        draft.chmod(0o600)
        draft.replace(self.folder / name)

    def fingerprint(self) -> str:
        """One hash over all that the containers are made from."""
        parts = (self.folder / "compose.env", self.folder / "app.env", self.place.clone / "docker-compose.yml")
        found = hashlib.sha256()
        for path in (*parts, self.folder / "tls" / "server.pem"):
            found.update(path.read_bytes() + b"\0")
        return found.hexdigest()

    def start(self) -> None:
        """Keys, store and containers; nothing where just these run already and are well."""
        rollout.tidy(self.place)
        fingerprint, before = self.fingerprint(), compose.states(self.place)
        known = record.read(self.place.record)
        as_wanted = contained_grafana.as_wanted(self.settings, before)
        if known and known.fingerprint == fingerprint and as_wanted and not compose.ill(before):
            self.cannot = known.cannot
            return
        with self.steps.step("check settings, make keys, migrate the store") as notes:
            self.password = self.one_shot("check", "keys init", "migrate", "bootstrap")
            notes.extend(["the administrator's account `admin`"] if self.password else [])
        # Whose ports these are is known from now on, also when the start is cut off.
        self.remember("", self.services())
        if rollout.APP in before and before[rollout.APP].well and rollout.APP in rollout.changed(self.place):
            rollout.replace(self.place, self.settings, self.steps)
            self.remember("", self.services() | {rollout.APP: compose.hashes(self.place)[rollout.APP]})
        with self.steps.step("start the containers") as notes:
            self.bring_up(before)
            notes.append(", ".join(compose.LASTING))
        self.cannot = self.edge_words()
        self.remember(fingerprint, compose.hashes(self.place))

    def services(self) -> dict[str, str]:
        """What the services that run were made from."""
        found = record.read(self.place.record)
        return found.services if found else {}

    def remember(self, fingerprint: str, services: dict[str, str]) -> None:
        """Leave word for later commands; without a fingerprint nothing counts as up to date."""
        place, settings = self.place, dict(self.settings)
        made = record.Record(place.https_port, place.http_port, fingerprint, settings, self.cannot, services)
        record.write(place.record, made)

    def one_shot(self, *commands: str) -> str:
        """Commands of the app in a container of their own; returns what the last one printed."""
        run = ["run", "--rm", "--no-TTY", "migrate", "python", "-c", app_command.SEVERAL, *commands]
        done = compose.attempt(self.place, *run, seconds=UP_SECONDS)
        if done.returncode:
            raise Problem("\n".join((done.stderr or done.stdout).strip().splitlines()[-3:]))
        return done.stdout.strip()

    def bring_up(self, before: Mapping[str, compose.State]) -> None:
        """Bring the containers to what the file says, and wait until each is well."""
        contained_grafana.drop(self.settings, before)
        if before:
            self.replace_others(before)
        try:
            done = compose.attempt(self.place, "up", *QUIETLY, "--no-recreate", seconds=UP_SECONDS)
        except subprocess.TimeoutExpired:
            raise Problem(self.last_words([])) from None
        if done.returncode:
            raise Problem(self.last_words(done.stderr.strip().splitlines()[-4:]))
        self.tidy_networks()
        if "edge" in before and before["edge"].id == compose.states(self.place)["edge"].id:
            # The same nginx goes on, with the configuration and the certificate of now.
            rollout.reload_edge(self.place)
        if not processes.until(lambda: not compose.ill(compose.states(self.place)), WELL_SECONDS):
            raise Problem(self.last_words([]))

    def tidy_networks(self) -> None:
        """A way out that is open or closed by now leaves the other one of its kind behind."""
        networks = compose.config(self.place)["networks"].values()
        compose.drop_networks(self.place, keep=[one["name"] for one in networks])

    def replace_others(self, before: Mapping[str, compose.State]) -> None:
        """Replace what changed, and the one-shots, by name: compose alone would replace whatever depends on it, too."""
        changed = [one for one in rollout.changed(self.place) if one in before]
        for one_shot in ONCE:
            rollout.again(self.place, one_shot)
        for service in dict.fromkeys(changed):
            compose.run(self.place, "up", *QUIETLY, "--no-deps", "--force-recreate", service)

    def last_words(self, lines: list[str]) -> str:
        """What is wrong, and the end of the logs of whatever is not well."""
        found = compose.states(self.place)
        lines = lines + compose.ill(found)
        for one in (one for one in found.values() if not one.well and one.status != "created"):
            tail = engine.attempt("logs", "--tail=6", one.id)
            lines += [f"{one.service}'s last words:"]
            lines += ["  " + line for line in (tail.stdout + tail.stderr).strip().splitlines()]
        shown = "\n".join(f"  {line}" for line in lines)
        return f"The stack did not come up; `make down` stops what runs:\n{shown}"

    def edge_words(self) -> list[str]:
        """What the edge cannot do on this machine."""
        said = compose.run(self.place, "logs", "--no-color", "--no-log-prefix", "edge-config")
        return list(dict.fromkeys(line for line in said.splitlines() if line))

    def prove(self) -> None:
        """A WSS round trip through the edge, from the host's own network."""
        with self.steps.step("speak to it over WSS"):
            token = self.probe_token()
            wrong = ""
            for _ in range(PROBE_ATTEMPTS):
                wrong = self.round_trip(token)
                if not wrong:
                    return
            raise Problem(f"The stack runs, but a WSS round trip fails: {wrong}. `make logs` says more.")

    def round_trip(self, token: str) -> str:
        """Why the round trip does not work; empty when it does."""
        trust = certificate.trust(self.place)
        mount = f"{trust.file}:/ca.pem:ro"
        words = ["run", "--rm", "--interactive", "--network=host", *BARE, "--volume", mount, self.images["app"]]
        url = f"wss://{trust.name}:{self.place.https_port}/ws/chat"
        done = engine.attempt(*words, "python", "-m", "stack.probe", url, "/ca.pem", "localhost", given=token)
        said = (done.stdout or done.stderr).strip().splitlines()
        return "" if done.returncode == 0 else (said[-1] if said else "no words")

    def probe_token(self) -> str:
        """A token of the probe's account, which is made the first time; its password is forgotten at once."""
        ask = ("exec", "--no-TTY", "app", "python", "-m", "app")
        done = compose.attempt(self.place, *ask, "token", PROBE)
        if done.returncode:
            compose.run(self.place, *ask, "user", PROBE)
            return compose.run(self.place, *ask, "token", PROBE)
        return done.stdout.strip()

    def show_password(self) -> None:
        """The first administrator's password: shown now or never, since it is stored nowhere.

        PASSWORD_TO in the environment of `make up` is a file that it goes into instead, where nobody watches.
        """
        target = os.environ.get("PASSWORD_TO")
        if self.password and target:
            first_password.keep(Path(target), self.password)
            print(f"\n  Sign in as       admin, with the one-time password in {target}: delete it then", flush=True)
        elif self.password:
            print(f"\n  Sign in as       admin\n  one-time password {self.password}  (shown only now)", flush=True)

    def tell(self) -> None:
        """Where it is, how to trust it and what to try."""
        if self.steps.changed:
            print(f"\nUp after {self.steps.seconds:.1f} s.")
        else:
            print(f"\nAlready up: nothing was changed ({self.steps.seconds:.1f} s).")
        print(
            f"  Open             {self.place.url}\n"
            f"{certificate.advice(self.place)}"
            "  Try next         make user NAME=alice    make status    make -s metrics    make logs    make down",
            *contained_grafana.told(self.settings),
            sep="\n  ",
        )
        wrong = health.unserved(self.place)
        if wrong:
            raise Problem(wrong)
