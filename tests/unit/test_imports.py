"""The layer rule, from the sources: import only downwards, and third parties have one home. Deny by default."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from stack import images

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "app").rglob("*.py"))

LAYERS = (
    # words: no I/O
    {"roles", "model", "verdict", "names", "verbs", "frames", "fields", "protocol", "settings", "metrics", "logs"}
    | {"asyncapi", "issuer", "outcome", "redis_url", "request_id"},
    # seams and what they are made of
    {"address", "lock", "limiter", "limiter_memory", "presence", "presence_memory", "broker", "broker_memory", "nodes"}
    | {"store", "store_accounts", "store_audit", "store_bans", "store_changes", "store_database", "store_edits"}
    | {"store_events", "store_heads", "store_listings", "store_members", "store_retention", "store_rooms"}
    | {"store_faults", "store_grants", "store_lane", "store_lists", "store_postgres", "store_schema", "store_seats"}
    | {"store_sessions", "store_sqlite", "store_turns"}
    | {"bounded", "prometheus", "charts", "secret_files", "watch"}
    | {"redis_pipe", "redis_server", "redis_link", "limiter_redis", "presence_redis", "broker_redis", "nodes_redis"}
    | {"migrations"},
    # the chat itself
    {"keys", "issuers", "tokens", "passwords", "sign_in", "auth", "connection", "hub", "batch", "notices", "drain"}
    | {"live_room", "rooms", "repair", "resync", "entrance", "floods", "charges", "marks", "handshake", "chat"},
    # wiring of one process
    {"shared"},
    {"backends"},
    # the edge
    {"routes", "wire", "inner"},
    # wiring of the program
    {"main", "traces", "worker", "gunicorn_conf", "__main__"},
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

HOMES = {
    "alembic": {"migrations"},
    "argon2": {"passwords"},
    "cryptography": {"keys"},
    "fastapi": {"routes", "main"},
    "gunicorn": {"worker", "gunicorn_conf"},
    "hiredis": {"redis_pipe"},
    "jwt": {"keys", "tokens", "issuers"},
    "opentelemetry": {"traces"},
    "orjson": {"protocol", "broker_redis"},
    "prometheus_client": {"metrics", "gunicorn_conf"},
    "psycopg": {"store_postgres"},
    "pydantic": {"verbs", "frames", "protocol", "settings", "issuer", "asyncapi", "routes", "broker_redis"}
    | {"prometheus"},
    "pydantic_core": {"verbs"},
    "pydantic_settings": {"settings"},
    "sqlalchemy": {name for name in RANK if name.startswith("store")} | {"migrations"},
    "starlette": {"routes"},
    "uvicorn": {"wire", "worker"},
    "uvicorn_worker": {"worker"},
    "websockets": {"wire"},
}
WORDS_OF_MONITORING = {"monitoring.catalogue": {"routes"}, "monitoring.panel": {"charts", "watch", "routes"}}
"""What is watched is said once, for the app as for Grafana: words without I/O, and nothing else of that folder."""
IMPLEMENTATIONS = {name for name in RANK if name.endswith(("_memory", "_redis")) or name.startswith("store_")}


def noun(path: Path) -> str:
    """The module's name, a package's for what is inside."""
    first = path.relative_to(ROOT / "app").parts[0]
    return first.removesuffix(".py")


def imported(path: Path) -> list[str]:
    """Dotted names of everything that a source imports, wherever in it."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            inside = node.module in ("app", "app.routes")
            found += [f"{node.module}.{alias.name}" for alias in node.names] if inside else [str(node.module)]
    return found


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name != "__init__.py"], ids=noun)
def test_imports_go_downwards(path: Path) -> None:
    """A module that is in no layer, or imports upwards, is an error; so is a third party outside its home."""
    here = noun(path)
    for name in imported(path):
        package, _, rest = name.partition(".")
        if package == "app":
            there = rest.partition(".")[0]
            assert RANK[there] <= RANK[here], f"{here} must not import {there}"
        elif package == "monitoring":
            assert here in WORDS_OF_MONITORING.get(name, set()), f"{name} has no home in {here}"
        elif package not in sys.stdlib_module_names and package != "__future__":
            assert here in HOMES.get(package, set()), f"{package} has no home in {here}"


def test_only_the_wiring_picks_backends() -> None:
    """Whoever names an implementation of a seam is that seam itself or wires."""
    for path in SOURCES:
        here = noun(path)
        used = {name.split(".")[1] for name in imported(path) if name.startswith("app.")} & IMPLEMENTATIONS
        family = {name for name in used if here.startswith(name.partition("_")[0])}
        assert here in {"shared", "backends", "gunicorn_conf", "migrations"} or used == family, f"{here} picks {used}"


def test_every_module_has_its_layer() -> None:
    """Neither too few nor names of modules that are gone."""
    nouns = {noun(path) for path in SOURCES} - {"__init__"}
    assert nouns == set(RANK) & (nouns | set(RANK)) == set(RANK)


def test_words_do_no_io() -> None:
    """The bottom layer touches no socket, file or thread, settings and logs apart."""
    forbidden = {"asyncio", "socket", "threading", "subprocess", "sqlite3", "http.client", "urllib.request"}
    words = [path for path in SOURCES if noun(path) in LAYERS[0]]
    words += [ROOT / f"{name.replace('.', '/')}.py" for name in WORDS_OF_MONITORING]
    for path in words:
        assert not forbidden & set(imported(path)), path


def test_the_app_s_image_has_what_it_takes_of_monitoring() -> None:
    """Those words and the package they are in; the image is made anew when one of them changes."""
    files = ["monitoring/__init__.py", *(f"{name.replace('.', '/')}.py" for name in sorted(WORDS_OF_MONITORING))]
    assert list(images.WATCHED) == files
    assert f"COPY {' '.join(files)} monitoring/\n" in (ROOT / "Dockerfile").read_text()
