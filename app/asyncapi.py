"""The AsyncAPI 3.0 document of the socket, made from the same models that parse and describe its frames."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.frames import SERVER_FRAMES, TutorialMessage
from app.protocol import SUBPROTOCOL
from app.verbs import CLIENT_FRAMES, TutorialPost
from app.verdict import CLOSES, ERRORS, REASONS

_CLIENT: Final[tuple[type[BaseModel], ...]] = (*CLIENT_FRAMES, TutorialPost)
_SERVER: Final[tuple[type[BaseModel], ...]] = (*SERVER_FRAMES, TutorialMessage)


def document() -> dict[str, Any]:
    """The document, ready to be dumped as JSON."""
    _, schemas = models_json_schema(
        [(model, "validation") for model in (*_CLIENT, *_SERVER)], ref_template="#/components/schemas/{model}"
    )
    names = [model.__name__ for model in (*_CLIENT, *_SERVER)]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Portcullis chat socket",
            "version": "1",
            "description": _description(),
            "license": {"name": "Apache-2.0"},
        },
        "servers": {"local": {"host": "localhost:8443", "protocol": "wss"}},
        "channels": {
            "chat": {
                "address": "/ws/chat",
                "description": f"Offer the subprotocol {SUBPROTOCOL}, or none for the tutorial profile.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
            }
        },
        "operations": {
            "send": _operation("receive", [model.__name__ for model in _CLIENT]),
            "receive": _operation("send", [model.__name__ for model in _SERVER]),
        },
        "components": {
            "messages": {model.__name__: _message(model) for model in (*_CLIENT, *_SERVER)},
            "schemas": schemas["$defs"],
        },
    }


def _operation(action: str, names: list[str]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": "#/channels/chat"},
        "messages": [{"$ref": f"#/channels/chat/messages/{name}"} for name in names],
    }


def _message(model: type) -> dict[str, Any]:
    return {
        "name": model.__name__,
        "contentType": "application/json",
        "summary": (model.__doc__ or "").strip(),
        "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
    }


def _description() -> str:
    refusals = "\n".join(f"- {meaning.status.value} `{reason}`: {meaning.text}" for reason, meaning in REASONS.items())
    errors = "\n".join(f"- `{code}`: {meaning.text}" for code, meaning in ERRORS.items())
    closes = "\n".join(f"- {code.value} `{word}`: {text}" for code, (word, text) in CLOSES.items())
    return (
        f"Refusals of the handshake (problem+json):\n\n{refusals}\n\n"
        f"Codes of error frames:\n\n{errors}\n\nClose codes:\n\n{closes}\n"
    )
