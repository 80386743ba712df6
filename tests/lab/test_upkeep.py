"""What an operator does later: back to the former release, a backup restored, a public certificate, fixes."""

from __future__ import annotations

import json
import secrets
import subprocess
from pathlib import Path

import pytest

from lab import outside
from lab.lab import Played
from stack import engine
from stack.place import CLONE
from stack.problem import Problem
from tests.lab.conftest import Deployed
from tests.stack.acme import pebble

RELEASES = "/opt/portcullis"
ACCOUNT = "portcullis-console"
STARTED = "cut -d\\  -f22 /proc/1/stat"
FORMER = "0123456789abcdef"


def test_the_former_release_comes_back_and_the_present_one_again(deployed: Deployed) -> None:
    """Each by one command; where no other ran before, it says so and changes nothing."""
    assert deployed.lab.playbook("site", "--tags=chat").code == 0  # whatever other tests have set
    lost = deployed.lab.playbook("rollback")
    assert lost.code != 0
    assert "No other release ran on one before the present one." in lost.said
    present = deployed.on_host(f"readlink {RELEASES}/current")
    former = f"{RELEASES}/{FORMER}"
    deployed.on_host(f"cp -a {present} {former} && ln -s {former} {RELEASES}/previous")
    for expected in (former, present):
        done = deployed.lab.playbook("rollback")
        assert done.code == 0, done.said[-4000:]
        assert deployed.on_host(f"readlink {RELEASES}/current") == expected
        assert outside.round_trip(deployed.host, outside.NAME, outside.token(deployed.host)) == "well"
    site = deployed.lab.playbook("site", "--tags=chat")
    assert site.changed() == 0, site.said
    assert deployed.on_host(f"readlink {RELEASES}/previous") == former


def test_a_fetched_backup_is_restored(deployed: Deployed, tmp_path: Path) -> None:
    """Accounts that were made after it are gone; the chat is there again."""
    done = deployed.lab.playbook("backup", "--extra-vars", json.dumps({"backup_to": str(tmp_path)}))
    assert done.code == 0, done.said[-4000:]
    (copy,) = (tmp_path / "one").iterdir()
    deployed.on_host("portcullis user NAME=late >/dev/null && portcullis token NAME=late >/dev/null")
    back = deployed.lab.playbook("restore", "--extra-vars", json.dumps({"backup_from": str(copy)}))
    assert back.code == 0, back.said[-4000:]
    assert deployed.host.ssh("sudo", "portcullis", "token", "NAME=late").returncode != 0
    assert outside.round_trip(deployed.host, outside.NAME, outside.token(deployed.host)) == "well"
    without = deployed.lab.playbook("restore")
    assert without.code != 0
    assert "backup_from=" in without.said


def test_a_public_certificate_is_issued_shown_and_renewed(deployed: Deployed, tmp_path: Path) -> None:
    """By ACME, from a server that reaches the host under its name on port 80; and our own authority's again without."""
    here = f"{deployed.host.address.rpartition('.')[0]}.1"
    with pebble(tmp_path / "pebble", (deployed.host.address, 80), here, here) as server:
        text = server.ca.read_text().replace("\n", "\\n")
        deployed.on_host(f'printf %b "{text}" >/etc/portcullis/acme-ca.pem')
        words = {"certificates_directory": server.directory, "certificates_ca": "/etc/portcullis/acme-ca.pem"}
        issued = deployed.lab.playbook("site", "--tags=chat,certificates", "--extra-vars", json.dumps(words))
        assert issued.code == 0, issued.said[-4000:]
        root, token = server.root(), outside.token(deployed.host)
        assert outside.round_trip(deployed.host, outside.NAME, token, trusted=root) == "well"
        with pytest.raises(Problem, match="certificate verify failed"):
            outside.round_trip(deployed.host, outside.NAME, token)
        again = deployed.lab.playbook("site", "--tags=chat,certificates", "--extra-vars", json.dumps(words))
        assert again.changed() == 0, again.said
        serial = "openssl x509 -noout -serial -in /var/lib/portcullis/containers/tls/server.pem"
        before, edge = deployed.on_host(serial), deployed.on_host("docker ps --quiet --filter name=edge-1")
        ask = "REQUESTS_CA_BUNDLE=/etc/portcullis/acme-ca.pem certbot renew --no-random-sleep-on-renew"
        deployed.on_host(f"{ask} --force-renewal")
        assert deployed.on_host(serial) != before
        assert deployed.on_host("docker ps --quiet --filter name=edge-1") == edge
        assert outside.round_trip(deployed.host, outside.NAME, token, trusted=root) == "well"
    own = deployed.lab.playbook("site", "--tags=chat,certificates")
    assert own.code == 0, own.said[-4000:]
    assert outside.round_trip(deployed.host, outside.NAME, outside.token(deployed.host)) == "well"


def test_a_controller_without_python_does_the_same(deployed: Deployed) -> None:
    """From a container: it reaches the host, builds nothing anew and finds nothing to change."""
    assert deployed.lab.playbook("site").code == 0  # whatever other tests have set
    words = [str(CLONE / "ansible" / "controller"), str(deployed.lab.inventory), "site", "--check"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=900.0, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert Played(done.stdout, 0).changed() == 0, done.stdout


def test_what_is_secret_is_made_anew(deployed: Deployed) -> None:
    """By one playbook; the token that there was goes on to count."""
    token, folder = outside.token(deployed.host), "/var/lib/portcullis/containers/secrets"
    before = deployed.on_host(f"sha256sum {folder}/*_password")
    done = deployed.lab.playbook("rotate-secrets")
    assert done.code == 0, done.said[-4000:]
    after = deployed.on_host(f"sha256sum {folder}/*_password")
    assert not set(before.splitlines()) & set(after.splitlines())
    assert outside.round_trip(deployed.host, outside.NAME, token) == "well"


def test_the_console_lets_in_who_has_its_password(deployed: Deployed) -> None:
    """And lets become root with it; without a hash there is no such account, and what is no hash is refused."""
    password = secrets.token_urlsafe(12)
    words = ["openssl", "passwd", "-6", "-stdin"]
    made = subprocess.run(words, input=password, capture_output=True, text=True, check=True).stdout.strip()
    done = deployed.lab.playbook(
        "site", "--tags=base", "--extra-vars", json.dumps({"base_console_password_hash": made})
    )
    assert done.code == 0, done.said[-4000:]
    assert made not in done.said
    assert deployed.host.ssh(f"echo {password} | su {ACCOUNT} -c 'id -un'").stdout.strip() == ACCOUNT
    assert deployed.host.ssh(f"echo wrong | su {ACCOUNT} -c 'id -un'").returncode != 0
    allowed = deployed.on_host(f"sudo --list --other-user={ACCOUNT}")
    assert "(ALL : ALL) ALL" in allowed and "NOPASSWD" not in allowed
    wrong = deployed.lab.playbook("site", "--tags=base", "--extra-vars", '{"base_console_password_hash": "plain"}')
    assert wrong.code != 0 and wrong.changed() == 0
    assert deployed.lab.playbook("site", "--tags=base").code == 0
    assert deployed.host.ssh(f"id {ACCOUNT}").returncode != 0


def test_a_reboot_that_packages_need_is_done_and_waited_for(deployed: Deployed) -> None:
    """Everything is up to date then, and the chat is there again."""
    began = deployed.on_host(STARTED)
    deployed.on_host("touch /run/reboot-required")
    # A container that reboots has ended: its engine starts it again, as a machine does by itself.
    engine.run("update", "--restart=always", deployed.host.container)
    try:
        done = deployed.lab.playbook("upgrade-hosts")
    finally:
        engine.run("update", "--restart=no", deployed.host.container)
    assert done.code == 0, done.said[-4000:]
    assert deployed.on_host(STARTED) != began
    assert outside.round_trip(deployed.host, outside.NAME, outside.token(deployed.host)) == "well"
    again = deployed.lab.playbook("upgrade-hosts")
    assert again.code == 0 and again.changed() == 0, again.said[-4000:]


def test_fixes_install_themselves(deployed: Deployed) -> None:
    """From the security archive, each day; what needs a reboot gets it at night, with time for goodbyes."""
    known = deployed.on_host("apt-config dump")
    for line in (
        'APT::Periodic::Unattended-Upgrade "1";',
        'Unattended-Upgrade::Automatic-Reboot "true";',
        'Unattended-Upgrade::Automatic-Reboot-Time "04:30";',
    ):
        assert line in known
    deployed.on_host("systemctl is-enabled apt-daily-upgrade.timer")
    assert '"shutdown-timeout": 60' in deployed.on_host("cat /etc/docker/daemon.json")
