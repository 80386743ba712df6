"""New passwords and a new signing key under those who are connected."""

from __future__ import annotations

import asyncio

from stack import compose
from tests.containers.contained import ContainedStack
from tests.stack.through import Through


def secrets(contained: ContainedStack) -> dict[str, str]:
    """Every secret file's content."""
    folder = compose.folder(contained.place) / "secrets"
    return {path.name: path.read_text() for path in folder.iterdir()}


async def test_everything_is_new_and_nobody_signs_in_again(contained: ContainedStack) -> None:
    """No file keeps its password, the stack is well, and a client resumes with the token that it had."""
    token = await contained.mint("rotated")
    client = await Through(contained).connect(token)
    joined = await client.join()
    before = secrets(contained)
    said = (await asyncio.to_thread(contained.make, "rotate")).stdout
    assert "Rotated after" in said
    after = secrets(contained)
    store = {name for name in before if "grafana" not in name and not name.startswith("alertmanager")}
    assert len(store) >= 9 and not [name for name in store if before[name] == after[name]]
    again = await Through(contained).connect(token)
    await again.send(type="join", room="lobby", after=joined["offset"], epoch=joined["epoch"])
    assert (await again.until(type="joined"))["recovered"]
    assert (await again.post("with new keys"))["type"] == "ack"
    status = await asyncio.to_thread(contained.make, "status")
    assert status.stdout.rstrip().endswith("healthy")
    up = await asyncio.to_thread(contained.make, "up")
    assert "nothing was changed" in up.stdout
