"""A backup is the whole chat, and a restore says so to whoever remembers more."""

from __future__ import annotations

import asyncio
import re
import subprocess
from pathlib import Path

from stack import compose, engine
from tests.containers.contained import ContainedStack
from tests.containers.crowd import accounts
from tests.stack.through import Through


def backup(stack: ContainedStack, target: Path, **settings: str) -> Path:
    """Write one, and say where."""
    done = stack.make("backup", TO=str(target), check=True, **settings)
    print(done.stderr)
    assert "tried out" in done.stderr
    return Path(done.stdout.strip())


async def test_what_was_backed_up_comes_back_after_everything_was_wiped(busy: ContainedStack, tmp_path: Path) -> None:
    """Accounts, rooms, history and offsets; a client that has seen more is told so, and old credentials are refused."""
    (token,) = await asyncio.to_thread(accounts, busy, 1)
    password = await asyncio.to_thread(busy.user, "keeper")
    client = await Through(busy).connect(token)
    room = (await client.ask(type="create", title="Kept", public=True))["room"]
    joined = await client.join(room)
    offsets = [(await client.post(f"kept {number}", room=room))["offset"] for number in range(3)]
    path = await asyncio.to_thread(backup, busy, tmp_path / "chat.dump")
    later = (await client.post("lost", room=room))["offset"]
    await asyncio.to_thread(busy.make, "clean", CONFIRM="yes")
    await asyncio.to_thread(busy.make, "restore", FROM=str(path), CONFIRM="yes")
    assert await Through(busy).refused(token) == "token_invalid"
    assert password and busy.token("keeper")
    again = await Through(busy).connect(await asyncio.to_thread(busy.token, "talker0"))
    resumed = await again.ask(type="join", room=room, after=later, epoch=joined["epoch"])
    assert not resumed["recovered"] and resumed["epoch"] != joined["epoch"]
    page = await again.ask(type="history", room=room, after=0, limit=50)
    texts = {event["offset"]: event.get("message") for event in page["events"]}
    assert [texts[offset] for offset in offsets] == ["kept 0", "kept 1", "kept 2"]
    assert later not in texts
    assert (await again.post("on we go", room=room))["offset"] == later


def test_a_file_that_is_no_backup_changes_nothing(busy: ContainedStack, tmp_path: Path) -> None:
    """Neither a wrong nor a cut one, and nobody restores over a chat without saying so."""
    whole = backup(busy, tmp_path / "whole.dump")
    cut, wrong = tmp_path / "cut.dump", tmp_path / "wrong.dump"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    wrong.write_text("hello")
    before = busy.app("token", "keeper")
    for path, word in ((cut, "cannot be restored"), (wrong, "not a backup")):
        done = busy.make("restore", FROM=str(path), CONFIRM="yes", check=False)
        assert done.returncode != 0 and word in done.stderr, done.stderr
    done = busy.make("restore", FROM=str(whole), check=False)
    assert done.returncode != 0 and "CONFIRM=yes" in done.stderr
    assert before and "healthy" in busy.make("status").stdout
    assert busy.token("keeper")


def test_an_encrypted_backup_needs_its_identity(busy: ContainedStack, tmp_path: Path) -> None:
    """Whoever has the file alone has nothing."""
    image = busy.config()["services"]["postgres"]["image"]
    said = engine.run("run", "--rm", "--network=none", "--entrypoint=age-keygen", image)
    identity = tmp_path / "identity"
    identity.write_text(said)
    recipient = next(word for word in re.findall(r"age1[0-9a-z]+", _recipient(image, said)))
    path = backup(busy, tmp_path / "secret.dump", PORTCULLIS_BACKUP_RECIPIENT=recipient)
    assert path.suffix == ".age" and b"PGDMP" not in path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0
    done = busy.make("restore", FROM=str(path), CONFIRM="yes", check=False)
    assert done.returncode != 0 and "IDENTITY=" in done.stderr
    busy.make("restore", FROM=str(path), IDENTITY=str(identity), CONFIRM="yes")
    assert busy.token("keeper")


def _recipient(image: str, identity: str) -> str:
    """The public key of an identity."""
    return engine.run(
        "run", "--rm", "--interactive", "--network=none", "--entrypoint=age-keygen", image, "-y", given=identity
    )


def test_the_doctor_finds_what_is_broken(busy: ContainedStack) -> None:
    """On a well stack nothing is wrong; of a container that is stopped it says so, and fails."""
    well = busy.make("doctor").stdout
    assert "wrong" not in well and "containers" in well
    compose.run(busy.place, "stop", "valkey")
    done = busy.make("doctor", check=False)
    assert done.returncode != 0
    assert re.search(r"wrong +containers +valkey is exited", done.stdout), done.stdout
    assert re.search(r"wrong +database and Valkey +.*Redis does not answer", done.stdout), done.stdout
    compose.run(busy.place, "start", "valkey")


def test_psql_speaks_to_the_database(busy: ContainedStack) -> None:
    """Also with a script instead of a person."""
    words = [*busy.words("psql")]
    done = subprocess.run(
        words,
        env=busy.environ(),
        input="SELECT 'rows', count(*) FROM accounts;",
        capture_output=True,
        text=True,
        check=True,
    )
    assert "rows" in done.stdout
