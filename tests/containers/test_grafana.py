"""What Grafana's container is given and how it comes and goes. No registry answers here, so a stand-in takes its place:
it reads what Grafana would read, as the same user and behind the same rules."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack import compose, engine
from tests.containers.contained import ContainedStack
from tests.containers.policy import broken_effect
from tests.stack.running import free_port

NAME = "portcullis.invalid/grafana-stand-in:test"
SERVER = """\
import http.server, json, pathlib, urllib.request

secrets = [pathlib.Path("/run/secrets", name).read_text() for name in ("grafana_admin_password", "grafana_secret_key")]
ini = pathlib.Path("/etc/grafana/grafana.ini").read_text()
panels = json.loads(pathlib.Path("/etc/grafana/dashboards/portcullis.json").read_text())["panels"]
provisioned = sorted(str(path) for path in pathlib.Path("/etc/grafana/provisioning").rglob("*.yml"))
pathlib.Path("/var/lib/grafana/grafana.db").write_text("kept in memory")
prometheus = urllib.request.urlopen("http://prometheus:9090/-/healthy", timeout=10).status
facts = {"secrets": len(set(secrets)), "ini": len(ini), "panels": len(panels), "provisioned": len(provisioned)}


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/api/health" else 404)
        self.end_headers()
        self.wfile.write(json.dumps(facts | {"prometheus": prometheus}).encode())


http.server.HTTPServer(("0.0.0.0", 3000), Answers).serve_forever()
"""
CURL = """\
#!/usr/bin/python3
import sys, urllib.request
urllib.request.urlopen(sys.argv[-1], timeout=4)
"""


@pytest.fixture
def stand_in(contained: ContainedStack, tmp_path: Path) -> Iterator[str]:
    """An image with an interpreter and what the health check asks for, gone afterwards."""
    base = contained.config()["services"]["counter"]["image"]
    (tmp_path / "server.py").write_text(SERVER)
    (tmp_path / "curl").write_text(CURL)
    (tmp_path / "curl").chmod(0o755)
    lines = (f"FROM {base}", "COPY --chmod=0755 curl /usr/bin/curl", "COPY --chmod=0644 server.py /server.py")
    (tmp_path / "Dockerfile").write_text("\n".join((*lines, 'ENTRYPOINT ["python3", "/server.py"]', "")))
    engine.run("build", "--quiet", "--tag", NAME, tmp_path)
    yield NAME
    engine.run("image", "rm", "--force", NAME)


def test_an_image_that_the_engine_lacks_changes_nothing(contained: ContainedStack) -> None:
    """It is not pulled, and the sentence says how to have it."""
    before, name = contained.containers(), "registry.invalid/grafana/grafana:0"
    done = contained.make("up", check=False, PORTCULLIS_GRAFANA_IMAGE=name)
    assert done.returncode != 0 and f"docker pull {name}" in done.stdout + done.stderr
    assert contained.containers() == before


def test_it_comes_with_its_image_and_goes_without(contained: ContainedStack, stand_in: str) -> None:
    """It can read what it is given and reach Prometheus, it keeps every rule in effect, and nobody else is touched."""
    before, port = contained.containers(), str(free_port())
    try:
        said = contained.make("up", PORTCULLIS_GRAFANA_IMAGE=stand_in, PORTCULLIS_GRAFANA_PORT=port).stdout
        assert f"http://127.0.0.1:{port}/" in said
        found = contained.containers()
        assert broken_effect(found.pop(compose.GRAFANA)) == set()
        assert found == before
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=10) as answer:
            facts = json.load(answer)
        assert (facts["secrets"], facts["provisioned"], facts["prometheus"]) == (2, 2, 200)
        assert facts["ini"] > 0 and facts["panels"] > 0
        assert compose.GRAFANA in contained.make("status").stdout
    finally:
        contained.make("up")
    assert contained.containers() == before
