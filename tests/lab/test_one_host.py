"""site.yml on one host: from bare to a chat that is spoken to from outside, and nothing to do the second time."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from lab import outside
from stack import engine, processes
from stack.problem import Problem
from tests.lab.conftest import Deployed

BOOT_SECONDS = 180.0
SECRETS = "/var/lib/portcullis/containers/secrets"
PASSWORD = "/root/portcullis-first-password"


def _stranger() -> str:
    """An authority that has nothing to do with the stack."""
    words = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-noenc",
        "-keyout",
        "/dev/null",
        "-subj",
        "/CN=stranger",
    ]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_check_mode_on_a_bare_host_ends_well_and_changes_nothing(deployed: Deployed) -> None:
    """It foretells work, and nothing of ours is on the host afterwards."""
    assert deployed.foretold.code == 0, deployed.foretold.said[-4000:]
    assert deployed.foretold.changed() > 0
    assert deployed.touched == ""


def test_a_chat_is_spoken_to_from_outside(deployed: Deployed) -> None:
    """Over WSS from another machine on the standard port, the certificate checked against the stack's own CA."""
    token = outside.token(deployed.host)
    assert outside.round_trip(deployed.host, outside.NAME, token) == "well"
    with pytest.raises(Problem, match="certificate verify failed"):
        outside.round_trip(deployed.host, outside.NAME, token, trusted=_stranger())
    with pytest.raises(Problem, match="Hostname mismatch"):
        outside.round_trip(deployed.host, "elsewhere.lab.test", token)


def test_the_second_run_changes_nothing(deployed: Deployed) -> None:
    """The same playbook again, and then in check mode."""
    second = deployed.lab.playbook("site")
    assert second.code == 0, second.said[-4000:]
    assert second.changed() == 0, second.said
    foretold = deployed.lab.playbook("site", "--check")
    assert foretold.code == 0, foretold.said[-4000:]
    assert foretold.changed() == 0, foretold.said


def test_no_secret_is_said_or_written_down(deployed: Deployed) -> None:
    """Not by the playbooks, not in the host's journal (where sudo writes command lines), not in a container's words."""
    said = Path(deployed.lab.folder, "playbooks.log").read_text()
    said += deployed.on_host("journalctl --no-pager --output=cat")
    said += deployed.on_host("docker inspect $(docker ps --all --quiet)")
    assert "BECOME-SUCCESS" in said or "sudo" in said, "the journal is empty"
    assert deployed.on_host(f"stat --format=%a:%U {PASSWORD}") == "600:root"
    secrets = {deployed.on_host(f"cat {PASSWORD}")}
    for line in deployed.on_host(f"cat {SECRETS}/*_password").splitlines():
        secrets.add(line.strip())
    assert len(secrets) > 5
    assert not [secret for secret in secrets if secret in said]
    readable = deployed.on_host(f'find {SECRETS} /var/lib/portcullis/tls -type f -perm /077 ! -name "*.pem"')
    assert readable == ""


def test_another_setting_reaches_the_running_chat(deployed: Deployed) -> None:
    """A changed variable replaces the app, and the chat answers."""
    settings = json.dumps({"chat_settings": {"PORTCULLIS_DRAIN_SECONDS": "3"}})
    done = deployed.lab.playbook("site", "--tags=chat", "--extra-vars", settings)
    assert done.code == 0, done.said[-4000:]
    assert "PORTCULLIS_DRAIN_SECONDS=3" in deployed.on_host(
        "docker inspect $(docker ps --quiet) --format {{.Config.Env}}"
    )
    assert outside.round_trip(deployed.host, outside.NAME, outside.token(deployed.host)) == "well"


def test_what_cannot_be_served_is_refused_before_anything_changes(deployed: Deployed) -> None:
    """A role that is given nonsense says so first."""
    for wrong in ('{"chat_hosts": []}', '{"chat_settings": {"DATABASE_URL": "x"}}', '{"chat_https_port": 80}'):
        done = deployed.lab.playbook("site", "--tags=chat", "--extra-vars", wrong)
        assert done.code != 0
        assert "chat_hosts must name what people type" in done.said
        assert done.changed() == 0


def test_a_backup_is_made_fetched_and_seen_by_the_doctor(deployed: Deployed, tmp_path: Path) -> None:
    """backup.yml leaves one on the host and one here; doctor.yml finds nothing wrong then."""
    done = deployed.lab.playbook("backup", "--extra-vars", json.dumps({"backup_to": str(tmp_path)}))
    assert done.code == 0, done.said[-4000:]
    (copy,) = (tmp_path / "one").iterdir()
    assert copy.stat().st_size > 1000
    assert deployed.on_host(f"ls /var/lib/portcullis/backups/{copy.name}")
    doctor = deployed.lab.playbook("doctor")
    assert doctor.code == 0, doctor.said[-4000:]
    assert "backup" in doctor.said
    assert "scheduled-" in doctor.said
    deployed.on_host("systemctl is-enabled portcullis-backup.timer && systemctl start portcullis-backup.service")


def test_a_drill_runs_on_schedule_and_its_age_is_a_metric(deployed: Deployed) -> None:
    """As the timer starts it, and from the controller; without it there is no such metric."""
    deployed.on_host("systemctl is-enabled portcullis-drill.timer && systemctl is-active portcullis-drill.timer")
    deployed.on_host("portcullis-backup && systemctl start portcullis-drill.service")
    fact = "portcullis_restore_drill_timestamp_seconds"
    age = f"echo $(( $(date +%s) - $(portcullis metrics | sed -n s/^{fact}.//p) ))"
    assert 0 <= int(deployed.on_host(age)) < 120
    done = deployed.lab.playbook("drill")
    assert done.code == 0, done.said[-4000:]
    assert "It can be restored: " in done.said


def test_an_encrypted_backup_is_drilled_from_where_its_identity_is(deployed: Deployed, tmp_path: Path) -> None:
    """Not by the host itself, which has nothing that opens it, and has no timer that would fail each week."""
    identity = deployed.on_host("age-keygen 2>/dev/null")
    recipient = next(line.rpartition(" ")[2] for line in identity.splitlines() if "public key" in line)
    file = tmp_path / "identity"
    file.write_text(identity + "\n")
    sealed = json.dumps({"chat_settings": {"PORTCULLIS_BACKUP_RECIPIENT": recipient}})
    done = deployed.lab.playbook("site", "--tags=chat,backup", "--extra-vars", sealed)
    assert done.code == 0, done.said[-4000:]
    assert deployed.host.ssh("systemctl is-active portcullis-drill.timer").stdout.strip() == "inactive"
    assert deployed.on_host("portcullis-backup | tail -n 1").endswith(".age")
    assert "IDENTITY=" in deployed.lab.playbook("drill").said
    drilled = deployed.lab.playbook("drill", "--extra-vars", json.dumps({"backup_identity": str(file)}))
    assert drilled.code == 0 and "It can be restored: " in drilled.said, drilled.said[-4000:]
    assert deployed.on_host("ls /run/portcullis-identity 2>/dev/null; true") == ""
    deployed.on_host("rm /var/lib/portcullis/backups/*.age")
    again = deployed.lab.playbook("site", "--tags=chat,backup")
    assert again.code == 0, again.said[-4000:]


def test_the_chat_comes_back_after_a_reboot(deployed: Deployed) -> None:
    """Engine, containers and firewall are there again by themselves, without what was on trial when it went down."""
    live, wanted = "/etc/portcullis/firewall.nft", "/etc/portcullis/trial/firewall/wanted"
    deployed.on_host(f'echo "# unproven" >>{wanted} && portcullis-trial start firewall 600 && grep unproven {live}')
    engine.run("restart", "--time=60", deployed.host.container)
    token = ""

    def back() -> bool:
        nonlocal token
        try:
            token = token or outside.token(deployed.host)
            return outside.round_trip(deployed.host, outside.NAME, token) == "well"
        except Problem:
            return False

    assert processes.until(back, BOOT_SECONDS)
    assert "to_host" in deployed.on_host("nft list table inet portcullis")
    assert "unproven" not in deployed.on_host(f"cat {live}")
