"""Break a part, and whoever is on call is told; mend it, and they are told that, too. Only waits are shorter."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from monitoring.receivers import COMMITTED, configured
from stack.place import CLONE, Place
from tests.contract.servers import Server as Valkey
from tests.contract.servers import running as valkey_running
from tests.monitoring import parts
from tests.monitoring.receiver import Receiver, listening
from tests.monitoring.watch import Prometheus, prometheus
from tests.patience import until
from tests.postgres import Cluster
from tests.socket.server import Server, running
from tests.socket.together import database, shared


@dataclass
class Scene:
    """A stack that is well, and who would be told."""

    app: Server
    cluster: Cluster
    valkey: Valkey
    prometheus: Prometheus
    receiver: Receiver


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[Scene]:
    """Healthy, and nobody was told of anything."""
    folder = tmp_path_factory.mktemp("scene")
    with contextlib.ExitStack() as open_:
        url = open_.enter_context(database(cluster))
        valkey = open_.enter_context(valkey_running("valkey"))
        app = open_.enter_context(running(folder / "app", **shared(url, valkey)))
        receiver = open_.enter_context(listening())
        addresses = {
            "counter": open_.enter_context(parts.counter(Place(CLONE, app.state), "")),
            "alertmanager": open_.enter_context(parts.alertmanager(folder, routed(folder, receiver))),
        }
        watching = open_.enter_context(prometheus(folder, addresses, hasty=True))
        until(lambda: len(watching.ask("up == 1")) == 5, "every part is scraped")
        yield Scene(app, cluster, valkey, watching, receiver)


def routed(folder: Path, receiver: Receiver) -> Path:
    """The committed routes with this receiver, in a hurry."""
    path = folder / "alertmanager.yml"
    text = configured(receiver.config(), COMMITTED.read_text())
    path.write_text(re.sub(r"(group_wait|group_interval): \w+", r"\1: 1s", text))
    return path


def test_without_valkey_somebody_is_paged(scene: Scene) -> None:
    """For degraded mode and for nothing that follows from it, and again when it is over."""
    scene.valkey.kill()
    told = scene.receiver.wait("page", "Degraded", "firing")
    assert told["labels"]["part"] == "shared"
    assert told["annotations"]["runbook"] == "docs/operate/alerts/Degraded.md"
    scene.valkey.start()
    scene.receiver.wait("page", "Degraded", "resolved")
    assert scene.receiver.names() == {"Degraded"}


def test_without_the_store_somebody_is_paged(scene: Scene) -> None:
    """The store stands still and does not even refuse."""
    with scene.cluster.paused():
        told = scene.receiver.wait("page", "StoreDown", "firing")
        assert told["labels"]["part"] == "store"
    scene.receiver.wait("page", "StoreDown", "resolved")


def test_without_the_app_somebody_is_paged(scene: Scene) -> None:
    """It ends, and the part that does not answer is named."""
    scene.app.stop()
    told = scene.receiver.wait("page", "PartDown", "firing")
    assert (told["labels"]["part"], told["annotations"]["summary"]) == ("app", "app does not answer")
    scene.app.start()
    scene.receiver.wait("page", "PartDown", "resolved")
