"""No secret is where somebody looks who may not read it: image history, inspect, environment, argv."""

from __future__ import annotations

import json
from pathlib import Path

from stack import compose, engine
from tests.containers.contained import ContainedStack


def known(contained: ContainedStack) -> set[str]:
    """Every secret of the stack, as it would be written."""
    folder = compose.folder(contained.place) / "secrets"
    passwords = {path.read_text().strip() for path in folder.iterdir() if path.name.endswith("password")}
    passwords |= {word for text in passwords if text.startswith("{") for word in json.loads(text).values()}
    digest = {word for word in (folder / "valkey_users").read_text().split() if word.startswith("#")}
    keys = [*contained.place.tls.glob("*.key"), *(compose.folder(contained.place) / "tls").glob("*.key")]
    pems = [path.read_text() for path in keys]
    signing = "cat /var/lib/portcullis/secrets/signing/*.pem"
    pems.append(compose.run(contained.place, "exec", "--no-TTY", "app", "sh", "-c", signing))
    lines = {line for pem in pems for line in pem.splitlines() if line and not line.startswith("-----")}
    assert len(lines) > 4
    return passwords | digest | lines | {contained.first_password}


def shown(contained: ContainedStack) -> str:
    """Everything that inspect, history, environments and command lines say."""
    containers = contained.containers()
    images = sorted({one["image"] for one in contained.config()["services"].values()})
    texts = [json.dumps(engine.inspect(*containers.values(), *images))]
    texts += [engine.run("history", "--no-trunc", image) for image in images]
    for container in containers.values():
        for line in engine.run("top", container, "-eo", "pid").splitlines()[1:]:
            for name in ("environ", "cmdline"):
                texts.append(Path(f"/proc/{line.strip()}/{name}").read_bytes().decode(errors="replace"))
    return "\0".join(texts)


def test_no_secret_is_shown(contained: ContainedStack) -> None:
    """None of the stack's secrets stands in history, inspect, environment or argv of any container."""
    text = shown(contained)
    assert "gunicorn" in text
    assert [secret[:4] for secret in known(contained) if secret in text] == []
