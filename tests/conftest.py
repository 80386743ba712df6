"""What more than one folder of tests needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

from stack import valkey
from stack.problem import Problem
from tests import canary, places, postgres
from tests.clients import end_clients
from tests.containers.contained import ContainedStack, up
from tests.patience import THOROUGH
from tests.stack.running import LENT, RunningStack, first_up, new_stack

# How long one example takes says nothing on a machine that runs other tests at the same time.
hypothesis.settings.register_profile("portcullis", deadline=None, max_examples=2000 if THOROUGH else 100)
hypothesis.settings.load_profile("portcullis")
# pytest's own folders, and those of every program that is started.
os.environ["TMPDIR"] = tempfile.tempdir = str(places.FOLDER)
WORKER = "PYTEST_XDIST_WORKER" in os.environ
"""Whether this process is one of several, which the first has started."""
if not WORKER:
    os.environ[LENT] = tempfile.mkdtemp(prefix="portcullis-lent-")
LONGEST = ("test_delivery.py", "test_store_properties.py")
COSTLY = ("browser", "crowds", "five", "lab")
"""Folders with one browser, one stack for crowds, or one lab."""


def pytest_report_header() -> list[str]:
    """Which servers the contracts are held against."""
    asked = [words for words in (["redis-server"], _valkey()) if words and shutil.which(words[0])]
    versions = [
        subprocess.run([*words, "--version"], capture_output=True, text=True, check=False).stdout.strip()
        for words in asked
    ]
    return [postgres.version(), *versions]


def _valkey() -> list[str]:
    try:
        return valkey.server()
    except Problem:  # the tests that need it say so
        return []


def pytest_unconfigure() -> None:
    """Nobody takes anything over any more."""
    if not WORKER:
        shutil.rmtree(os.environ[LENT])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that nothing has to wait for it alone at the end."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Name what failed at once: a whole run takes long, and its summary comes at the end."""
    if report.failed and not WORKER:
        print(f"\n{report.nodeid}: {report.when} failed\n{report.longreprtext[-2000:]}", flush=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what a stack in containers said by the time that a test of it failed: nothing is left of it afterwards."""
    report = yield
    if call.when == "call" and report.failed:
        stacks = [one for one in getattr(item, "funcargs", {}).values() if isinstance(one, ContainedStack)]
        report.sections += [("the app's log", stack.said()) for stack in stacks]
    return report


class Together(LoadScopeScheduling):  # type: ignore[misc] # it has no types
    """With several processes (`-n`), a file's tests stay in one, and so do those of a costly folder."""

    def _split_scope(self, nodeid: str) -> str:
        path = Path(nodeid.partition("::")[0])
        return path.parent.name if path.parent.name in COSTLY else str(path)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Not xdist's own loadgroup, which leaves every test to itself where items do not let their id be changed."""
    return Together(config, log)


@pytest.fixture(scope="session", autouse=True)
def nothing_leaks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Set up before everything else, and so torn down after everything else has stopped."""
    with canary.searched(tmp_path_factory.getbasetemp()):
        yield


@pytest.fixture(scope="session")
def contained() -> Iterator[ContainedStack]:
    """One in containers, shared by the session: leave it healthy."""
    with up() as running:
        yield running


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[RunningStack]:
    """A healthy stack with default settings, shared by the session: leave it healthy.

    With TEST_SHAPE=containers it is the one in containers, which nobody who speaks to it can tell.
    """
    if os.environ.get("TEST_SHAPE") == "containers":
        yield request.getfixturevalue("contained")
        return
    with new_stack() as running:
        first_up(running)
        yield running


@pytest.fixture(scope="session")
def cluster() -> Iterator[postgres.Cluster]:
    """A PostgreSQL server; one that cannot be had fails every test that asks for it."""
    with postgres.cluster() as one:
        yield one


@pytest.fixture
async def clients() -> AsyncIterator[None]:
    """The clients that the test leaves open are gone before any fixture ends that was there earlier."""
    yield
    await end_clients()
