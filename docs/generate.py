"""Writes the reference pages from the code that they describe: `python -m docs.generate`. A test keeps them current."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from prometheus_client.core import Metric
from pydantic.fields import FieldInfo

from app import asyncapi
from app.metrics import Metrics
from app.roles import WHEN_ARCHIVED, WHEN_NOT_MUTED, Action, Role, may
from app.routes import api
from app.settings import BARE, PREFIX, Settings
from app.verdict import CLOSES, ERRORS, REASONS, Reason
from monitoring.alerts import alerts
from monitoring.catalogue import GROUPS
from monitoring.panel import Panel
from stack.facts import FACTS
from stack.knobs import KNOBS, Knob

FOLDER: Final = Path(__file__).parent
_ONCE: Final = "<!-- Generated from the code by `make docs`. -->\n\n"
_PANEL: Final = ("panel", "what it tells", "unit", "query")
_LATER: Final = {
    Reason.DRAINING,
    Reason.IP_RATE,
    Reason.USER_COOLDOWN,
    Reason.USER_CONNECTIONS,
    Reason.IP_CONNECTIONS,
    Reason.NODE_FULL,
    Reason.BACKEND_DOWN,
}


def pages() -> dict[str, str]:
    """File name to content."""
    return {
        "settings.md": _settings(),
        "../.env.example": _example(),
        "reasons.md": _reasons(),
        "roles.md": _roles(),
        "metrics.md": _metrics(),
        "operate/alerts/README.md": _alerts(),
        "operate/dashboard.md": _dashboard(),
        "openapi.json": _json(api.document()),
        "asyncapi.json": _json(asyncapi.document()),
    }


def _settings() -> str:
    rows = []
    for name, field in Settings.model_fields.items():
        shown = name.upper() if name.upper() in BARE else PREFIX + name.upper()
        rows.append((f"`{shown}`", _default(field.default), _meaning(field)))
    rows += [(f"`{one.name}`", one.default and f"`{one.default}`", one.meaning) for one in _stack_knobs()]
    return (
        f"{_ONCE}# Settings\n\nLines `NAME=value` in `settings.env` in the state folder, or environment variables. "
        "Durations are seconds, sizes bytes. An unknown name or an unsafe value stops the start with a sentence that "
        "names it. Secrets are never set here: they are files with mode 0600.\n\n"
        + _table(("setting", "default", "meaning"), rows)
    )


def _stack_knobs() -> list[Knob]:
    """What only the stack reads."""
    return [one for one in KNOBS if one.name != f"{PREFIX}STATE"]


def _example() -> str:
    """One commented line per setting, its default in it. The stack takes every other name for a mistake."""
    lines = [
        "# Generated from the code by `make docs`: every setting there is. Copy the lines that you change to",
        "# settings.env in the state folder (var/settings.env), without the #. Another name stops the start.",
        "# Secrets are never set here: they are files, which `make up` makes.",
        "",
    ]
    for one in KNOBS:
        lines += [f"# {one.meaning}", f"#{one.name}={one.default}"]
    for name, field in Settings.model_fields.items():
        shown = name.upper() if name.upper() in BARE else PREFIX + name.upper()
        if name != "state":
            lines += [f"# {_meaning(field)}", f"#{shown}={_default(field.default).strip('`')}"]
    return "\n".join(lines) + "\n"


def _meaning(field: FieldInfo) -> str:
    """On one line, however many it takes in the code."""
    return " ".join((field.description or "").split())


def _default(value: Any) -> str:
    if value is None or value in ("", ()):
        return ""
    if isinstance(value, tuple):
        return f"`{','.join(map(str, value))}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _reasons() -> str:
    refusals = [
        (str(meaning.status.value), f"`{reason}`", "yes" if reason in _LATER else "no", meaning.text)
        for reason, meaning in REASONS.items()
    ]
    errors = [(f"`{code}`", str(meaning.status.value), meaning.text) for code, meaning in ERRORS.items()]
    closes = [
        (str(code.value), f"`{word}`", "no" if code.value >= 4500 else "yes", text)  # noqa: PLR2004
        for code, (word, text) in CLOSES.items()
    ]
    return (
        f"{_ONCE}# Why a connection is refused or closed\n\n"
        "## Refused handshakes\n\nAn HTTP answer with a problem+json body (RFC 9457) whose `reason` is the word below. "
        "Where a retry helps, `retry_after` and the Retry-After header say when. A browser's JavaScript cannot read "
        "the answer to a handshake: `POST /api/tickets` gives the same one.\n\n"
        + _table(("status", "reason", "retry", "meaning"), refusals)
        + "\n## Refused frames\n\nThe `code` of an error frame, and the `reason` of the same refusal over HTTP with "
        "this status. With `retry_after`, the same frame may pass after so many seconds.\n\n"
        + _table(("code", "status", "meaning"), errors)
        + "\n## Close codes\n\n4000-4499 may reconnect, 4500-4999 may not. The close frame's reason is the word.\n\n"
        + _table(("code", "reason", "reconnect", "meaning"), closes)
    )


def _roles() -> str:
    roles = tuple(Role)
    rows = [
        (f"`{action}`", *("yes" if may(role, action) else "" for role in roles), _when(action)) for action in Action
    ]
    return (
        f"{_ONCE}# Who may do what in a room\n\n"
        "One table in the code (app/roles.py) decides, this page shows it and the tests go through every cell. "
        "`guest` is anybody in view of a public room, `stranger` anybody in view of a private one, for whom it does "
        "not exist. `join` makes a member; whoever may read the history may be live in the room. `delete_any` is "
        "`delete` of somebody else's message.\n\n"
        + _table(("action", *roles, "but"), rows)
        + "\nKick, ban, unban, mute, unmute, invite and set_role need a higher rank than the user whom they concern "
        "has: owners stand above moderators, moderators above everybody else. Nobody does them to themselves, except "
        "that an owner may step down while another one remains; the last owner can neither leave nor step down. "
        "An administrator of the server counts as owner of every public room, and as nobody in private ones.\n"
    )


def _when(action: Action) -> str:
    bars = []
    if action not in WHEN_ARCHIVED:
        bars.append("not when archived")
    if action in WHEN_NOT_MUTED:
        bars.append("not when muted")
    return ", ".join(bars)


def _metrics() -> str:
    families: Iterable[Metric] = Metrics().registry.collect()
    rows = []
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        rows.append((f"`{name}`", family.type, family.documentation))
    rows += [(f"`{name}`", "gauge", meaning) for name, meaning in FACTS.items()]
    return (
        f"{_ONCE}# Metrics\n\n`make -s metrics` prints them with the edge's own (`edge_…`, see nginx/README.md). "
        "Labels come from closed sets; no user, room, address or token is ever one.\n\n"
        + _table(("metric", "type", "meaning"), rows)
    )


def _alerts() -> str:
    rows = [
        (f"[{one.name}]({one.name}.md)", one.severity, _untold(one.part), _untold(one.summary))
        for one in sorted(alerts(), key=lambda one: (one.name, one.severity))
    ]
    return (
        f"{_ONCE}# Alerts\n\nA `page` cannot wait, a `ticket` can wait until morning. The part is where the cause "
        "would be: when that is down, Alertmanager says only so. Each alert links to what to do about it; the rules "
        "are in monitoring/rules/, the objectives behind ErrorBudgetBurn in monitoring/rules/slo.yml.\n\n"
        "Nobody is told until you say whom. Copy monitoring/receivers.example.yml to `receivers.yml` in the state "
        "folder, readable by you alone, write your receivers `page` and `ticket` into it, and `make up`: it is tried, "
        "and only Alertmanager's container can read what is made of it. For an Alertmanager of your own:\n\n"
        "    python3 -m monitoring.receivers /path/to/receivers.yml >alertmanager.yml\n"
        "    amtool check-config alertmanager.yml\n\n" + _table(("alert", "severity", "part", "in a sentence"), rows)
    )


def _dashboard() -> str:
    head = (
        f"{_ONCE}# The dashboard\n\nmonitoring/grafana/portcullis.json is a dashboard for Grafana 10 or later, and "
        "monitoring/grafana/provisioning/ has Grafana load it. These are its panels, which monitoring/catalogue.py "
        "describes once; `$window` is the time over which a rate is taken.\n"
    )
    parts = [f"\n## {group.title}\n\n" + _table(_PANEL, map(_panel, group.panels)) for group in GROUPS]
    return head + "".join(parts)


def _panel(panel: Panel) -> tuple[str, ...]:
    queries = "<br>".join(f"`{query.text}`" for query in panel.queries)
    return panel.title, panel.tells, panel.unit.replace("_", " "), queries


def _untold(template: str) -> str:
    """What an alert says, without what only the moment can tell."""
    return re.sub(r"\{\{.*?\}\}", "…", template)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def main() -> None:
    """Write every page."""
    for name, content in pages().items():
        (FOLDER / name).write_text(content)


if __name__ == "__main__":
    main()
