"""The page's pure modules, run in the browser they are written for."""

from __future__ import annotations

from typing import Any

from tests.browser.conftest import Enter

BACKOFF = """
async () => {
  const { delaySeconds } = await import('/web/backoff.js');
  const range = (attempt, hint) => [delaySeconds(attempt, hint, () => 0), delaySeconds(attempt, hint, () => 1)];
  return [range(0, 0), range(3, 0), range(1000, 0), range(0, 7)];
}
"""

ROOM = """
async (frames) => {
  const { Room } = await import('/web/room.js');
  const room = new Room('lobby', 'ada');
  for (const [verb, ...given] of frames) room[verb](...given);
  return room.rows.map((row) => [row.kind, row.text ?? null, row.offset ?? null, row.status ?? null]);
}
"""


def _message(offset: int, sender: str, text: str) -> list[Any]:
    return ["received", {"offset": offset, "sender": sender, "message": text, "timestamp": 1.0}]


def _joined(offset: int, epoch: str = "e") -> list[Any]:
    return ["joined", {"offset": offset, "epoch": epoch}]


def _posting(name: str, text: str) -> list[Any]:
    return ["posting", {"id": name, "text": text, "time": 1}]


def test_back_off_doubles_is_drawn_by_lot_and_obeys_the_server(person: Enter) -> None:
    """Half to whole of 0.5 s doubled, never above 30 s, never before the server's hint."""
    ranges = person("page-ada").page.evaluate(BACKOFF)
    assert ranges == [[0.25, 0.5], [2, 4], [15, 30], [7, 7.5]]


def test_rows_stand_in_the_rooms_order(person: Enter) -> None:
    """However acks and messages arrive, each post is one row, at its offset."""
    page = person("page-ada").page
    late = [_message(1, "bob", "his"), _message(2, "ada", "mine")]
    ack_first = [_joined(0), _posting("a", "mine"), ["stored", "a", 2], *late]
    assert page.evaluate(ROOM, ack_first) == [["message", "his", 1, "sent"], ["message", "mine", 2, "sent"]]
    twice_the_same = [
        _joined(0),
        *[_posting(name, "same") for name in ("a", "b")],
        *[_message(offset, "ada", "same") for offset in (1, 2)],
        ["stored", "a", 1],
        ["stored", "b", 2],
    ]
    assert page.evaluate(ROOM, twice_the_same) == [["message", "same", 1, "sent"], ["message", "same", 2, "sent"]]
    from_another_tab = [
        _joined(0),
        _posting("a", "same"),
        _message(1, "ada", "same"),
        _message(2, "ada", "same"),
        ["stored", "a", 2],
    ]
    assert page.evaluate(ROOM, from_another_tab) == [["message", "same", 1, "sent"], ["message", "same", 2, "sent"]]


def test_gaps_and_restores_are_marked(person: Enter) -> None:
    """A jump of the offset is said with its size; another epoch starts a new count."""
    page = person("page-ada").page
    away = [_joined(3), _message(4, "bob", "a"), _joined(4), _joined(6), _message(7, "bob", "b")]
    assert page.evaluate(ROOM, away) == [
        ["message", "a", 4, "sent"],
        ["gap", "You were away and may have missed up to 2 messages.", None, None],
        ["message", "b", 7, "sent"],
    ]
    restored = [_joined(9), _message(10, "bob", "a"), _joined(2, "f"), _message(3, "bob", "b")]
    rows = page.evaluate(ROOM, restored)
    assert [row[:2] for row in rows] == [
        ["message", "a"],
        ["gap", "The server was restored. Messages may be missing here."],
        ["message", "b"],
    ]
