"""Who is told of alerts: the operator's own receivers, where there are any, in a file that only Alertmanager reads."""

from __future__ import annotations

from pathlib import Path

from monitoring.receivers import COMMITTED, ReceiversError, configured, read
from stack import compose, contained_secrets, engine
from stack.place import Place
from stack.problem import Problem

ALERTMANAGER = 10006
NAME = "alertmanager.yml"


def receivers(place: Place) -> Path:
    """The operator's file; without it alerts are only on Alertmanager's page."""
    return place.state / "receivers.yml"


def write(place: Place, app: str, alertmanager: str) -> None:
    """Put the configuration where Alertmanager finds it. Raises Problem where it would not start with it."""
    text = _text(place)
    folder = compose.folder(place) / "alertmanager"
    made = folder / f"{NAME}.of"
    if made.exists() and made.read_text() == _digest(text):
        return
    _try(place, alertmanager, text)
    folder.mkdir(mode=0o755, exist_ok=True)
    contained_secrets.write(folder / NAME, text.encode())
    contained_secrets.own(place, app, {f"alertmanager/{NAME}": ALERTMANAGER})
    made.write_text(_digest(text))


def state(place: Place) -> str:
    """What the configuration was made of: another word whenever it is another one."""
    return (compose.folder(place) / "alertmanager" / f"{NAME}.of").read_text()


def _text(place: Place) -> str:
    path = receivers(place)
    if not path.exists():
        return COMMITTED.read_text()
    try:
        return configured(read(path), COMMITTED.read_text())
    except ReceiversError as error:
        raise Problem(f"{path} cannot be used: {error}.") from None


def _digest(text: str) -> str:
    return contained_secrets.digest(text)


def _try(place: Place, image: str, text: str) -> None:
    words = ["run", "--rm", "--interactive", "--network=none", "--read-only", "--cap-drop=ALL"]
    done = engine.attempt(*words, "--entrypoint=amtool", image, "check-config", "/dev/stdin", given=text)
    if done.returncode:
        _, _, why = (done.stdout or done.stderr).partition("FAILED:")
        raise Problem(f"{receivers(place)} cannot be used: {' '.join(why.split()) or done.stderr.strip()}")
