"""Grafana is there only for whoever names its image, and what it is given fits together and calls nobody."""

from __future__ import annotations

import configparser
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack import compose, contained_grafana, engine
from stack.compose import State
from stack.contained_grafana import IMAGE, as_wanted, for_compose, problem, told
from stack.place import CLONE, Place
from stack.problem import Problem

NAME = "registry.example/grafana/grafana:12.0.0"
SOURCE = CLONE / "monitoring" / "grafana"
RUNNING = {"grafana": State("grafana", "1", "running", "healthy", NAME)}
DIGEST = f"@sha256:{'0' * 64}"


@pytest.fixture
def where(tmp_path: Path) -> Place:
    """A state folder with the stores' secrets."""
    place = Place(CLONE, tmp_path)
    (compose.folder(place) / "secrets").mkdir(mode=0o700, parents=True)
    return place


@pytest.fixture
def service() -> dict[str, Any]:
    """As docker-compose.yml has it."""
    found: dict[str, Any] = yaml.safe_load((CLONE / "docker-compose.yml").read_text())["services"]["grafana"]
    return found


@pytest.fixture
def ini() -> configparser.ConfigParser:
    """Grafana's settings."""
    found = configparser.ConfigParser(interpolation=None)
    found.read(SOURCE / "grafana.ini")
    return found


@pytest.mark.parametrize(
    "name",
    [
        "grafana",
        "grafana/grafana:12.0.0",
        "registry.example/grafana",
        f"grafana/grafana{DIGEST}",
        f"{NAME} x",
        "a.b/c:",
    ],
)
def test_a_name_that_a_registry_might_answer_for_is_refused(name: str) -> None:
    """Before the engine is asked; by the setting's name."""
    assert str(problem({IMAGE: name})).startswith(f"{IMAGE} must name a registry")


@pytest.mark.parametrize("name", [NAME, f"{NAME}{DIGEST}", f"localhost:5000/grafana{DIGEST}", "localhost/grafana:1"])
def test_only_what_the_engine_has_is_used(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """It is never pulled; the sentence says how to have it."""
    monkeypatch.setattr(engine, "has_image", lambda _: False)
    assert str(problem({IMAGE: name})).endswith(f"docker pull {name}")
    monkeypatch.setattr(engine, "has_image", lambda _: True)
    assert problem({IMAGE: name}) is None
    assert problem({}) is None


def test_the_profile_is_on_only_with_an_image(where: Place) -> None:
    """Without one the name in the file is nobody's."""
    off, on = for_compose(where, {}), for_compose(where, {IMAGE: NAME, "PORTCULLIS_GRAFANA_PORT": "3001"})
    assert (off["COMPOSE_PROFILES"], off["PORTCULLIS_IMAGE_GRAFANA"]) == ("", contained_grafana.NONE)
    assert (on["COMPOSE_PROFILES"], on["PORTCULLIS_IMAGE_GRAFANA"]) == ("grafana", NAME)
    assert (off["PORTCULLIS_GRAFANA_PORT"], on["PORTCULLIS_GRAFANA_PORT"]) == ("3000", "3001")
    assert told({}) == [] and "127.0.0.1:3000" in told({IMAGE: NAME})[0]
    with pytest.raises(Problem, match="PORTCULLIS_GRAFANA_PORT"):
        for_compose(where, {"PORTCULLIS_GRAFANA_PORT": "no"})


def test_it_is_there_where_it_is_wanted() -> None:
    """Neither missing nor left over."""
    assert as_wanted({IMAGE: NAME}, RUNNING) and as_wanted({}, {})
    assert not as_wanted({IMAGE: NAME}, {}) and not as_wanted({}, RUNNING)


def test_its_files_are_laid_out_and_its_secrets_made_once(where: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the container finds them; anybody may read the files, nobody else the secrets."""
    given: dict[str, int] = {}
    monkeypatch.setattr("stack.contained_secrets.own", lambda _place, _image, owners: given.update(owners))
    folder = compose.folder(where)
    contained_grafana.write(where, {}, "app")
    assert not (folder / "grafana").exists()
    contained_grafana.write(where, {IMAGE: NAME}, "app")
    laid = {str(path.relative_to(folder / "grafana")) for path in (folder / "grafana").rglob("*") if path.is_file()}
    assert laid == {
        f"{path}.yml" for path in ("provisioning/dashboards/portcullis", "provisioning/datasources/portcullis")
    } | {
        "grafana.ini",
        "dashboards/portcullis.json",
    }
    assert all((folder / "grafana" / name).stat().st_mode & 0o777 == 0o444 for name in laid)
    made = {name: (folder / "secrets" / name).read_text() for name in contained_grafana.SECRETS}
    assert len(set(made.values())) == 2 and all(len(text) > 40 for text in made.values())
    assert all((folder / "secrets" / name).stat().st_mode & 0o777 == 0o400 for name in made)
    assert given == {f"secrets/{name}": 10008 for name in made}
    contained_grafana.write(where, {IMAGE: NAME}, "app")
    assert made == {name: (folder / "secrets" / name).read_text() for name in contained_grafana.SECRETS}


def test_what_is_provisioned_fits_together(service: dict[str, Any]) -> None:
    """The dashboard is where the provider looks, and the datasource is a service on a network of Grafana's."""
    (provider,) = yaml.safe_load((SOURCE / "provisioning/dashboards/portcullis.yml").read_text())["providers"]
    (source,) = yaml.safe_load((SOURCE / "provisioning/datasources/portcullis.yml").read_text())["datasources"]
    assert provider["type"] == "file" and provider["options"]["path"] == "/etc/grafana/dashboards"
    assert service["volumes"] == ["${PORTCULLIS_FOLDER}/grafana:/etc/grafana:ro"]
    host, _, port = source["url"].removeprefix("http://").partition(":")
    services = yaml.safe_load((CLONE / "docker-compose.yml").read_text())["services"]
    assert {*services[host]["networks"]} & {*service["networks"]} and port == "9090"
    assert (source["type"], source["access"], source["isDefault"]) == ("prometheus", "proxy", True)
    assert json.loads((SOURCE / "portcullis.json").read_text())["panels"]


def test_its_settings_name_secrets_and_call_nobody(ini: configparser.ConfigParser, service: dict[str, Any]) -> None:
    """No password is a default or in the file; whatever asks for the outside by itself is off."""
    for name in ("admin_password", "secret_key"):
        path = ini["security"][name].removeprefix("$__file{").removesuffix("}")
        assert path.removeprefix("/run/secrets/") in service["secrets"]
    off = {
        "analytics": {"enabled", "reporting_enabled", "check_for_updates", "check_for_plugin_updates"},
        "news": {"news_feed_enabled"},
        "snapshots": {"enabled", "external_enabled"},
        "plugins": {"plugin_admin_enabled"},
        "auth.anonymous": {"enabled"},
        "users": {"allow_sign_up"},
        "unified_alerting": {"enabled"},
    }
    assert {name: {one for one in names if not ini.getboolean(name, one)} for name, names in off.items()} == off
    on = {"security": "disable_gravatar", "plugins": "preinstall_disabled"}
    assert all(ini.getboolean(section, one) for section, one in on.items())
    assert ini.getboolean("plugins", "public_key_retrieval_disabled")


def test_only_its_profile_starts_it(service: dict[str, Any]) -> None:
    """And it keeps nothing on disk."""
    assert service["profiles"] == ["grafana"]
    assert service["ports"] == ["127.0.0.1:${PORTCULLIS_GRAFANA_PORT}:3000"]
    assert any(path.startswith("/var/lib/grafana:size=") for path in service["tmpfs"])
