"""What a backup has to bring back, on every kind of stack."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from tests.stack.running import RunningStack
from tests.stack.through import Through


def backup(stack: RunningStack, target: Path, **settings: str) -> Path:
    """Write one, and say where; Prometheus can know of it."""
    done = stack.make("backup", TO=str(target), check=True, **settings)
    assert "tried out" in done.stderr
    assert (stack.state / "facts" / "portcullis_backup_timestamp_seconds.prom").exists()
    return Path(done.stdout.strip())


def drill(stack: RunningStack, source: Path, **more: str) -> None:
    """Try a kept one; Prometheus can know of it."""
    fact = stack.state / "facts" / "portcullis_restore_drill_timestamp_seconds.prom"
    fact.unlink(missing_ok=True)
    assert "It can be restored: " in stack.make("drill", FROM=str(source), check=True, **more).stdout
    assert fact.exists()


async def comes_back(stack: RunningStack, folder: Path) -> None:
    """Accounts, rooms, history and offsets, after all was deleted; a client that has seen more is told so, and old
    credentials are refused.
    """
    password = await asyncio.to_thread(stack.user, "keeper")
    token = await asyncio.to_thread(stack.token, "keeper")
    client = await Through(stack).connect(token)
    room = (await client.ask(type="create", title="Kept", public=True))["room"]
    joined = await client.join(room)
    offsets = [(await client.post(f"kept {number}", room=room))["offset"] for number in range(3)]
    path = await asyncio.to_thread(backup, stack, folder / "chat")
    await asyncio.to_thread(drill, stack, path)
    later = (await client.post("lost", room=room))["offset"]
    await asyncio.to_thread(stack.make, "clean", CONFIRM="yes")
    await asyncio.to_thread(stack.make, "restore", FROM=str(path), CONFIRM="yes")
    assert await Through(stack).refused(token) == "token_invalid"
    assert password and stack.token("keeper")
    again = await Through(stack).connect(await asyncio.to_thread(stack.token, "keeper"))
    resumed = await again.ask(type="join", room=room, after=later, epoch=joined["epoch"])
    assert not resumed["recovered"] and resumed["epoch"] != joined["epoch"]
    page = await again.ask(type="history", room=room, after=0, limit=50)
    texts = {event["offset"]: event.get("message") for event in page["events"]}
    assert [texts[offset] for offset in offsets] == ["kept 0", "kept 1", "kept 2"]
    assert later not in texts
    assert (await again.post("on we go", room=room))["offset"] == later


def what_is_none_changes_nothing(stack: RunningStack, folder: Path, other: bytes) -> None:
    """Neither a wrong nor a cut one, nor one of the `other` kind of stack; nobody restores without saying so."""
    whole = backup(stack, folder / "whole")
    cut, wrong, foreign = folder / "cut", folder / "wrong", folder / "foreign"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    wrong.write_text("hello")
    foreign.write_bytes(other)
    for path, word in ((cut, "cannot be"), (wrong, "not a backup"), (foreign, "and this one is")):
        done = stack.make("restore", FROM=str(path), CONFIRM="yes", check=False)
        assert done.returncode != 0 and word in done.stderr, done.stderr
    done = stack.make("restore", FROM=str(whole), check=False)
    assert done.returncode != 0 and "CONFIRM=yes" in done.stderr
    assert stack.make("backup", TO=str(whole), check=False).returncode != 0
    assert "healthy" in stack.make("status").stdout


def the_newest_one_is_drilled(stack: RunningStack, folder: Path) -> None:
    """Whatever made it; a broken one is found out, and neither draft nor scratch stays."""
    kept = stack.state / "backups"
    assert "There is no backup" in stack.make("drill", check=False).stderr
    whole = backup(stack, folder / "another")
    kept.mkdir(mode=0o700)
    good, broken = (kept / f"{name}{whole.suffix}" for name in ("scheduled-1", "portcullis-2"))
    good.write_bytes(whole.read_bytes())
    assert "It can be restored: " in stack.make("drill").stdout
    broken.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert stack.make("drill", check=False).returncode != 0
    os.utime(broken, (1.0, 1.0))
    assert "It can be restored: " in stack.make("drill").stdout
    assert sorted(kept.iterdir()) == sorted((good, broken))


def an_encrypted_one_needs_its_identity(stack: RunningStack, folder: Path, identity: str, recipient: str) -> None:
    """Whoever has the file alone has nothing."""
    path = folder / "identity"
    path.write_text(identity)
    sealed = backup(stack, folder / "secret", PORTCULLIS_BACKUP_RECIPIENT=recipient)
    assert sealed.suffix == ".age" and sealed.read_bytes().startswith(b"age-encryption.org/")
    assert sealed.stat().st_mode & 0o077 == 0
    done = stack.make("restore", FROM=str(sealed), CONFIRM="yes", check=False)
    assert done.returncode != 0 and "IDENTITY=" in done.stderr
    assert "IDENTITY=" in stack.make("drill", FROM=str(sealed), check=False).stderr
    drill(stack, sealed, IDENTITY=str(path))
    stack.make("restore", FROM=str(sealed), IDENTITY=str(path), CONFIRM="yes")
    assert list(folder.glob("*.draft")) == []
