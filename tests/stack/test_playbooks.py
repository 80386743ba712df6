"""ansible-lint's production profile and yamllint over ansible/, each also shown to find a bad one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from stack.place import CLONE
from tests.tools import tool

ANSIBLE = CLONE / "ansible"
BAD = """\
---
- hosts: portcullis
  tasks:
    - shell: echo saffron
"""


def _run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    commands = tool("ansible-lint")
    environ = os.environ | {
        # Syntax is checked against an inventory that is there, by the Ansible of the same environment.
        "PATH": f"{commands}:{os.environ['PATH']}",
        "ANSIBLE_INVENTORY": str(ANSIBLE / "inventories" / "one-host"),
        "ANSIBLE_HOME": str(CLONE / "var" / "tools" / "ansible-home"),
    }
    return subprocess.run(
        [commands / words[0], *words[1:]],
        cwd=ANSIBLE,
        env=environ,
        capture_output=True,
        text=True,
        timeout=300.0,
        check=False,
    )


def test_ansible_lint_is_content() -> None:
    """With the strictest of its profiles, offline, warnings being errors."""
    done = _run("ansible-lint", "--offline", "--strict", "--profile=production", "--nocolor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 failure(s), 0 warning(s)" in done.stderr + done.stdout


def test_ansible_lint_finds_a_bad_playbook(tmp_path: Path) -> None:
    """Else the test above says nothing."""
    bad = tmp_path / "bad.yml"
    bad.write_text(BAD)
    done = _run("ansible-lint", "--offline", "--strict", "--profile=production", "--nocolor", bad)
    assert done.returncode != 0
    assert "fqcn" in done.stdout + done.stderr


def test_the_example_of_a_vault_opens_and_names_what_there_is(tmp_path: Path) -> None:
    """With the password that the page says, and no other."""
    vault = ANSIBLE / "inventories" / "one-host" / "group_vars" / "portcullis" / "vault.yml.example"
    password = tmp_path / "password"
    password.write_text("example\n")
    done = _run("ansible-vault", "view", "--vault-password-file", password, vault)
    assert done.returncode == 0, done.stderr
    (name, _, value) = done.stdout.splitlines()[-1].partition(": ")
    assert f"{name}:" in (ANSIBLE / "roles" / "base" / "defaults" / "main.yml").read_text()
    assert value.startswith('"$6$')
    password.write_text("another\n")
    assert _run("ansible-vault", "view", "--vault-password-file", password, vault).returncode != 0


def test_yamllint_is_content(tmp_path: Path) -> None:
    """And finds what it should."""
    done = _run("yamllint", "--strict", ".")
    assert done.returncode == 0, done.stdout
    bad = tmp_path / "bad.yml"
    bad.write_text("a: 1\na: 2\n")
    assert _run("yamllint", "--strict", "-c", ".yamllint", bad).returncode != 0
