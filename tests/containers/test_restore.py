"""A backup is the whole chat, and a restore says so to whoever remembers more."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from stack import compose, engine
from tests.containers.contained import ContainedStack
from tests.patience import until
from tests.stack import backups


async def test_what_was_backed_up_comes_back_after_everything_was_wiped(
    contained: ContainedStack, tmp_path: Path
) -> None:
    """Accounts, rooms, history and offsets, and whoever remembers more is told so."""
    await backups.comes_back(contained, tmp_path)


def test_a_file_that_is_no_backup_changes_nothing(contained: ContainedStack, tmp_path: Path) -> None:
    """Each is refused with a sentence before anything stops."""
    backups.what_is_none_changes_nothing(contained, tmp_path, b"\x1f\x8b and more")


def test_a_drill_tells_whether_the_newest_backup_can_be_restored(contained: ContainedStack, tmp_path: Path) -> None:
    """Beside the database, which stays as it is."""
    backups.the_newest_one_is_drilled(contained, tmp_path)


def test_an_encrypted_backup_needs_its_identity(contained: ContainedStack, tmp_path: Path) -> None:
    """With the age that is in the image."""
    image = contained.config()["services"]["postgres"]["image"]
    identity = engine.run("run", "--rm", "--network=none", "--entrypoint=age-keygen", image)
    backups.an_encrypted_one_needs_its_identity(contained, tmp_path, identity, _recipient(image, identity))


def _recipient(image: str, identity: str) -> str:
    """The public key of an identity."""
    return engine.run(
        "run", "--rm", "--interactive", "--network=none", "--entrypoint=age-keygen", image, "-y", given=identity
    ).strip()


def test_the_doctor_finds_what_is_broken(contained: ContainedStack) -> None:
    """On a well stack nothing is wrong; of a container that is stopped it says so, and fails."""
    well = contained.make("doctor").stdout
    assert "wrong" not in well and "containers" in well
    compose.run(contained.place, "stop", "valkey")
    done = contained.make("doctor", check=False)
    assert done.returncode != 0
    assert re.search(r"wrong +containers +valkey is exited", done.stdout), done.stdout
    assert re.search(r"wrong +database and Valkey +.*Redis does not answer", done.stdout), done.stdout
    compose.run(contained.place, "start", "valkey")
    until(lambda: not compose.ill(compose.states(contained.place)), "all is well again")


def test_psql_speaks_to_the_database(contained: ContainedStack) -> None:
    """Also with a script instead of a person."""
    words = [*contained.words("psql")]
    done = subprocess.run(
        words,
        env=contained.environ(),
        input="SELECT 'rows', count(*) FROM accounts;",
        capture_output=True,
        text=True,
        check=True,
    )
    assert "rows" in done.stdout
