"""docs/clients.md says what the server means: its examples parse, and no verb, frame, code or limit is missing."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from pydantic import TypeAdapter

from app.frames import EVENT_FRAMES, SERVER_FRAMES
from app.limiter import MESSAGE_LIMITS
from app.protocol import Malformed, Profile, parse
from app.routes.problem import Problem
from app.routes.sessions import SignInBody
from app.routes.tokens import Ticket
from app.verbs import CLIENT_FRAMES
from app.verdict import CLOSES, ErrorCode, Reason
from docs.generate import FOLDER

PAGE = (FOLDER / "clients.md").read_text()
_MODELS = {model.model_fields["type"].default: model for model in SERVER_FRAMES}


def examples(kind: str) -> list[str]:
    """The lines of the page's fences of one kind."""
    fences = re.findall(rf"^```json {kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return [line for fence in fences for line in fence.splitlines()]


@pytest.mark.parametrize("example", examples("client"))
def test_a_verbs_example_is_understood(example: str) -> None:
    """By the parser that the socket uses."""
    parsed = parse(example, Profile.CHAT_V1)
    assert not isinstance(parsed, Malformed), parsed


@pytest.mark.parametrize("example", examples("server"))
def test_a_frames_example_conforms(example: str) -> None:
    """To the model that every frame of the tests is held against."""
    _MODELS[json.loads(example)["type"]].model_validate_json(example)


@pytest.mark.parametrize(("example", "model"), list(zip(examples("http"), (SignInBody, Ticket, Problem), strict=True)))
def test_a_bodys_example_conforms(example: str, model: Any) -> None:
    """The sign-in's, the ticket's and a problem's."""
    TypeAdapter(model).validate_json(example)


def test_every_verb_and_frame_has_an_example() -> None:
    """And none that the server does not know."""
    given, said = ({json.loads(line)["type"] for line in examples(kind)} for kind in ("client", "server"))
    assert given == {str(model.model_fields["type"].annotation.__args__[0]) for model in CLIENT_FRAMES}  # type: ignore[union-attr]
    assert said == set(_MODELS) and {model.model_fields["type"].default for model in EVENT_FRAMES} <= said


def test_every_field_of_a_verb_is_named() -> None:
    """In its row of the table."""
    table = [line.split("|", 2)[1:] for line in PAGE.splitlines() if line.startswith("| `")]
    rows = {name: fields for verbs, fields in table for name in re.findall(r"`(\w+)`", verbs)}
    for model in CLIENT_FRAMES:
        verb = str(model.model_fields["type"].annotation.__args__[0])  # type: ignore[union-attr]
        for field in model.model_fields.keys() - {"type", "id", "room"}:
            assert f"`{field}" in rows[verb], (verb, field)


def test_every_word_that_a_client_can_meet_is_there() -> None:
    """Reasons of refused handshakes, codes of errors, close codes and limits."""
    words = [*Reason, *ErrorCode, *MESSAGE_LIMITS, *(word for word, _ in CLOSES.values())]
    assert [word for word in words if f"`{word}`" not in PAGE] == []
    assert [code for code in CLOSES if str(int(code)) not in PAGE] == []


def test_the_page_links_to_what_exists() -> None:
    """Relative links, and the files that it names."""
    for name in [*re.findall(r"\]\(([\w./]+)\)", PAGE), "../examples/bot.py", "../tests/browser/bot.js"]:
        assert (FOLDER / name).is_file(), name
