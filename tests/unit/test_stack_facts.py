"""What only the host knows reaches Prometheus."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import urllib.request
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from stack import certificate, facts
from stack.counter import Answers
from stack.place import CLONE, Place

BACKUP = "portcullis_backup_timestamp_seconds"
EXPIRY = "portcullis_certificate_expiry_timestamp_seconds"


def values(text: str) -> dict[str, float]:
    """Each sample of an exposition, as Prometheus' own parser reads it."""
    return {one.name: one.value for family in text_string_to_metric_families(text) for one in family.samples}


def test_the_newest_fact_is_exposed(tmp_path: Path) -> None:
    """One stated twice counts once, whatever else is there; the counter's user can read it whatever the umask was."""
    place = Place(CLONE, tmp_path)
    former = os.umask(0o077)
    facts.state(place, BACKUP, 1_700_000_000.4)
    os.umask(former)
    facts.state(place, EXPIRY, 1_800_000_000)
    facts.state(place, BACKUP, 1_750_000_000)
    assert values(facts.exposed(place)) == {BACKUP: 1_750_000_000, EXPIRY: 1_800_000_000}
    assert facts.folder(place).stat().st_mode & 0o777 == 0o755
    assert [path.stat().st_mode & 0o777 for path in sorted(facts.folder(place).iterdir())] == [0o644, 0o644]


def test_no_fact_is_no_error(tmp_path: Path) -> None:
    """Before the first one there is nothing to say."""
    assert facts.exposed(Place(CLONE, tmp_path)) == ""


def test_an_unknown_fact_is_refused(tmp_path: Path) -> None:
    """A name that FACTS does not explain would be on no page."""
    with pytest.raises(KeyError):
        facts.state(Place(CLONE, tmp_path), "portcullis_else", 1)


def test_the_certificate_s_end_is_stated(tmp_path: Path) -> None:
    """It is what openssl says about the certificate that was made."""
    place = Place(CLONE, tmp_path)
    place.venv.symlink_to(sys.prefix)
    certificate.make(place, {})
    words = ["openssl", "x509", "-in", str(certificate.server(place)), "-noout", "-enddate", "-dateopt", "iso_8601"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    date = ["date", "--utc", "--date", said.strip().removeprefix("notAfter="), "+%s"]
    assert values(facts.exposed(place)) == {EXPIRY: float(subprocess.check_output(date, text=True))}


def test_the_counter_answers_with_the_facts(tmp_path: Path) -> None:
    """A scraper asks for /stack and needs neither app nor edge."""
    place = Place(CLONE, tmp_path)
    facts.state(place, BACKUP, 1_750_000_000)
    answers = type("Here", (Answers,), {"place": place})
    with ThreadingHTTPServer(("127.0.0.1", 0), answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/stack", timeout=10) as answer:
            assert values(answer.read().decode()) == {BACKUP: 1_750_000_000}
        server.shutdown()
