"""What mtail says of the edge, every label value in it from the start.

mtail has no word for a counter that stands at 0: a series is there once its first line was read, and neither `rate` nor
`increase` sees a step from nothing to one. So the zeros are written where its words are handed on.
"""

from __future__ import annotations

from typing import Final

from stack import exposition

BROKEN: Final = "mtail_prog_load_errors_total"
COUNTERS: Final = {
    "edge_requests_total": ("status_class", ("1", "2", "3", "4", "5")),
    "edge_rejected_total": (
        "reason",
        (
            "edge_rate",
            "edge_connections",
            "edge_request_rate",
            "upstream_unavailable",
            "bad_request",
            "client_timeout",
            "body_too_large",
            "unknown_host",
            "private_path",
        ),
    ),
}
"""The counters of nginx/mtail/edge.mtail, each with its label and the label's values."""


def broken(text: str) -> list[str]:
    """The lines by which mtail says that a program of its does not compile: what that counts is then unknown."""
    return [line for line in text.splitlines() if line.startswith(BROKEN) and not line.endswith(" 0")]


def completed(text: str) -> str:
    """The exposition with a 0 for whatever did not happen yet; as it is where mtail does not count."""
    return text if broken(text) else exposition.merge([text, _zeros()])


def _zeros() -> str:
    lines: list[str] = []
    for name, (label, values) in COUNTERS.items():
        lines += [f"# TYPE {name} counter", *(f'{name}{{{label}="{value}"}} 0' for value in values)]
    return "".join(line + "\n" for line in lines)
