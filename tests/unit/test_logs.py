"""JSON lines, and nothing in them that an exception quotes."""

from __future__ import annotations

import json
import logging
import logging.config
import sys
from typing import Any

from app import request_id
from app.logs import JsonFormatter, config


def _line(record: logging.LogRecord) -> dict[str, Any]:
    text = JsonFormatter().format(record)
    assert "\n" not in text
    line: dict[str, Any] = json.loads(text)
    return line


def _record(message: str, **extra: Any) -> logging.LogRecord:
    record = logging.LogRecord("portcullis.x", logging.WARNING, __file__, 1, message, None, None)
    vars(record).update(extra)
    record.created = 1_700_000_000.25
    return record


def test_a_record_is_one_line() -> None:
    """Time in UTC with milliseconds, level, logger, event, and what `extra` carried; line breaks are escaped."""
    assert _line(_record("eve\nnt", user="ann", odd=object)) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "warning",
        "logger": "portcullis.x",
        "event": "eve\nnt",
        "user": "ann",
        "odd": "<class 'object'>",
    }


async def test_a_line_carries_the_id_of_its_request() -> None:
    """While a request is served, and not outside of any."""
    assert "request_id" not in _line(_record("before"))
    begun = request_id.begin([], believed=True)
    assert _line(_record("meanwhile", user="ann"))["request_id"] == begun


def test_an_exception_keeps_its_message_to_itself() -> None:
    """Its type and where it was raised, since it may quote what a client sent."""
    record = _record("failed")
    try:
        raise ValueError("canary")
    except ValueError:
        record.exc_info = sys.exc_info()
    line = _line(record)
    assert line["exception"] == "ValueError"
    assert line["raised"][0].endswith("test_an_exception_keeps_its_message_to_itself")
    assert "canary" not in json.dumps(line)
    record.exc_info = (None, None, None)
    assert "exception" not in _line(record)


def test_the_configuration_is_one_that_logging_takes() -> None:
    """uvicorn's lines with the whole target stay off."""
    made = config("DEBUG")
    logging.config.DictConfigurator(made)
    assert made["root"]["level"] == "DEBUG"
    assert {made["loggers"][name]["level"] for name in ("uvicorn.error", "uvicorn.access", "gunicorn.access")} == {
        "WARNING"
    }
