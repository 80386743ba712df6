"""Chromium as a user has it: its own profile, the stack's CA in its certificate store, nothing waved through."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Playwright

FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def executable() -> str:
    """The distribution's Chromium; Playwright's own download is not used."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert found, "the browser tests need Chromium: apt-get install --no-install-recommends chromium libnss3-tools"
    return found


def trust(home: Path, ca: Path) -> None:
    """Put the CA into the NSS store that Chromium reads below this HOME, trusted to sign servers' certificates (C)."""
    store = home / ".pki" / "nssdb"
    store.mkdir(parents=True)
    subprocess.run(["certutil", "-d", f"sql:{store}", "-N", "--empty-password"], check=True)
    add = ["certutil", "-d", f"sql:{store}", "-A", "-t", "C,,", "-n", "portcullis", "-i", str(ca)]
    subprocess.run(add, check=True)


@contextmanager
def chromium(playwright: Playwright, home: Path, *more: str) -> Iterator[Browser]:
    """A browser whose HOME is this folder. Every certificate is checked. `more` are further flags."""
    home.mkdir(parents=True, exist_ok=True)
    browser = playwright.chromium.launch(
        executable_path=executable(), args=[*FLAGS, *more], env={**os.environ, "HOME": str(home)}
    )
    try:
        yield browser
    finally:
        browser.close()
