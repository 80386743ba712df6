"""What a host shows to the outside, and that its operator is not locked out of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import outside
from lab.host import Host
from stack import processes
from tests.lab.conftest import Deployed
from tests.tools import tool

OPEN = {22, 80, 443}
PLAIN, PUBLISHED = 9500, 9600
LOOKED_AT = (*OPEN, 25, 53, 111, 2375, 2376, 5432, 6379, 8080, 8443, 9090, 9093, 9100, 9121, 9187, PLAIN, PUBLISHED)
REVERTED_SECONDS = 60.0
"""Three times what the lab's group_vars give a change on trial."""
POLICY = Path(__file__).with_name("sshd.policy")


@contextmanager
def _careless(deployed: Deployed) -> Iterator[None]:
    """A server on every address of the host, and a container whose port the engine publishes on every address."""
    python = "/usr/bin/python3 -m http.server --directory /run/sshd"
    image = deployed.on_host("docker images --quiet portcullis.invalid/counter | head -n 1")
    deployed.on_host(f"systemd-run --quiet --collect --unit=careless {python} {PLAIN}")
    run = f"docker run --detach --rm --name=careless --publish={PUBLISHED}:8000 {image}"
    deployed.on_host(f"{run} python3 -m http.server --directory /tmp 8000")
    try:
        yield
    finally:
        deployed.on_host("systemctl stop careless; docker rm --force careless")


def test_only_the_edge_and_ssh_answer(deployed: Deployed) -> None:
    """Whatever listens on the host, and whatever the engine publishes; without our table both would be open."""
    with _careless(deployed):
        assert outside.answering(deployed.host, LOOKED_AT) == OPEN
        deployed.on_host("systemctl stop portcullis-firewall")
        try:
            shown = outside.answering(deployed.host, LOOKED_AT)
        finally:
            deployed.on_host("systemctl start portcullis-firewall")
        assert {PLAIN, PUBLISHED} <= shown
        assert outside.answering(deployed.host, LOOKED_AT) == OPEN
    assert outside.round_trip(deployed.host, outside.NAME, outside.token(deployed.host)) == "well"


def _lets_in(host: Host) -> bool:
    return host.ssh("true").returncode == 0


def test_a_firewall_that_would_lock_out_is_taken_back(deployed: Deployed) -> None:
    """The playbook fails at its own new login, and the host is open to its operator again by itself."""
    closed = json.dumps({"firewall_ssh_from": ["192.0.2.0/24"]})
    done = deployed.lab.playbook("site", "--tags=firewall", "--extra-vars", closed)
    assert done.code != 0
    assert "Log in afresh" in done.said
    assert "Keep the change" not in done.said
    assert processes.until(lambda: _lets_in(deployed.host), REVERTED_SECONDS)
    assert "192.0.2.0" not in deployed.on_host("nft list table inet portcullis; cat /etc/portcullis/firewall.nft")
    again = deployed.lab.playbook("site", "--tags=firewall")
    assert again.code == 0, again.said[-4000:]


def test_an_sshd_that_would_lock_out_is_taken_back(deployed: Deployed) -> None:
    """Here it listens where nobody looks for it."""
    done = deployed.lab.playbook("site", "--tags=ssh", "--extra-vars", json.dumps({"ssh_port": 2222}))
    assert done.code != 0
    assert "Log in afresh" in done.said
    assert "Keep the change" not in done.said
    assert processes.until(lambda: _lets_in(deployed.host), REVERTED_SECONDS)
    assert "port 22\n" in deployed.on_host("/usr/sbin/sshd -T") + "\n"
    again = deployed.lab.playbook("site", "--tags=ssh")
    assert again.code == 0, again.said[-4000:]


def test_an_sshd_that_ansible_could_not_enter_is_refused(deployed: Deployed) -> None:
    """Without even a trial."""
    done = deployed.lab.playbook("site", "--tags=ssh", "--extra-vars", json.dumps({"ssh_allow_users": ["nobody"]}))
    assert done.code != 0
    assert "ssh_allow_users does not name deploy" in done.said
    assert done.changed() == 0


def test_sshd_keeps_to_a_published_policy(deployed: Deployed) -> None:
    """ssh-audit's for this OpenSSH, with what Debian's fixes add."""
    words = [str(tool("ssh-audit") / "ssh-audit"), "--no-colors", "--policy", str(POLICY), deployed.host.address]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120.0, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Passed" in done.stdout


def test_nobody_gets_in_with_a_password(deployed: Deployed) -> None:
    """Keys are all that is offered."""
    words = ["ssh", "-F", "none", *deployed.host.ssh_options(), "-o", "PubkeyAuthentication=no"]
    done = subprocess.run([*words, f"deploy@{deployed.host.address}"], capture_output=True, text=True, check=False)
    assert "Permission denied (publickey)." in done.stderr
