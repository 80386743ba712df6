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

WORDS = """
async (problems) => {
  const { answer, refusal } = await import('/web/words.js');
  return problems.map((problem) => [refusal(problem), answer(problem)]);
}
"""

ROOM = """
async (frames) => {
  const { Room } = await import('/web/room.js');
  const room = new Room('lobby', 'ada');
  const said = frames.map(([verb, ...given]) => room[verb](...given));
  const rows = room.rows.map((row) => [row.kind, row.text ?? null, row.offset ?? null, row.status ?? null]);
  return { rows, said, top: room.top, atEnd: room.atEnd, edges: room.edges, cursor: room.cursor };
}
"""

MANY = """
async (count) => {
  const { Room } = await import('/web/room.js');
  const room = new Room('lobby', 'ada');
  const event = (offset) => ({ type: 'message', offset, sender: 'bob', message: `m${offset}`, timestamp: offset });
  const page = (first, last, more) => ({
    epoch: 'e', more, events: Array.from({ length: last - first + 1 }, (_, at) => event(first + at)),
  });
  const seen = () => [room.rows.length, room.rows[0].offset, room.rows.at(-1).offset, room.atEnd];
  const steps = [];
  room.joined({ offset: 0, epoch: 'e', recovered: false });
  for (let offset = 1; offset <= count; offset += 1) {
    room.received(event(offset));
    room.trim();
  }
  steps.push(seen());
  while (room.edges.before > 1) {
    const { before } = room.edges;
    room.older(page(Math.max(1, before - 50), before - 1, before > 51));
  }
  steps.push([...seen(), room.top]);
  room.received(event(count + 1));
  while (!room.atEnd) room.newer(page(room.edges.after + 1, Math.min(room.edges.after + 50, count + 1), false));
  steps.push(seen());
  steps.push(room.rows.every((row, at) => at === 0 || row.offset === room.rows[at - 1].offset + 1));
  return steps;
}
"""


def _message(offset: int, sender: str, text: str, **more: Any) -> dict[str, Any]:
    return {"type": "message", "offset": offset, "sender": sender, "message": text, "timestamp": float(offset)} | more


def _change(kind: str, offset: int, target: int, **more: Any) -> dict[str, Any]:
    return {"type": kind, "offset": offset, "sender": "bob", "target": target, "timestamp": float(offset)} | more


def _heard(*frames: dict[str, Any]) -> list[list[Any]]:
    return [["received", frame] for frame in frames]


def _joined(offset: int, epoch: str = "e", *, recovered: bool = False) -> list[Any]:
    return ["joined", {"offset": offset, "epoch": epoch, "recovered": recovered}]


def _older(*events: dict[str, Any], more: bool = False, epoch: str = "e") -> list[Any]:
    return ["older", {"events": list(events), "epoch": epoch, "more": more}]


def _posting(name: str, text: str) -> list[Any]:
    return ["posting", {"id": name, "text": text, "time": 1}]


def test_back_off_doubles_is_drawn_by_lot_and_obeys_the_server(person: Enter) -> None:
    """Half to whole of 0.5 s doubled, never above 30 s, never before the server's hint."""
    ranges = person("page-ada").page.evaluate(BACKOFF)
    assert ranges == [[0.25, 0.5], [2, 4], [15, 30], [7, 7.5]]


def test_rows_stand_in_the_rooms_order(person: Enter) -> None:
    """However acks and messages arrive, each post is one row, at its offset."""
    page = person("page-ada").page

    def rows(steps: list[list[Any]]) -> list[list[Any]]:
        found: list[list[Any]] = page.evaluate(ROOM, steps)["rows"]
        return found

    late = _heard(_message(1, "bob", "his"), _message(2, "ada", "mine"))
    ack_first = [_joined(0), _posting("a", "mine"), ["stored", "a", 2], *late]
    assert rows(ack_first) == [["message", "his", 1, "sent"], ["message", "mine", 2, "sent"]]
    twice = [["message", "same", 1, "sent"], ["message", "same", 2, "sent"]]
    same = _heard(_message(1, "ada", "same"), _message(2, "ada", "same"))
    twice_the_same = [
        *[_joined(0), _posting("a", "same"), _posting("b", "same"), *same],
        *[["stored", "a", 1], ["stored", "b", 2]],
    ]
    assert rows(twice_the_same) == twice
    from_another_tab = [_joined(0), _posting("a", "same"), *same, ["stored", "a", 2]]
    assert rows(from_another_tab) == twice


def test_a_resume_repeats_nothing_and_notices_what_is_missing(person: Enter) -> None:
    """Events up to the cursor are dropped, one that skips an offset is refused, and a join goes on at the cursor."""
    page = person("page-ada").page
    steps = [
        _joined(3),
        *_heard(_message(4, "bob", "a"), _message(4, "bob", "a"), _message(6, "bob", "c")),
        _joined(4, recovered=True),
        *_heard(_message(5, "bob", "b"), _message(6, "bob", "c")),
    ]
    room = page.evaluate(ROOM, steps)
    assert [row[1] for row in room["rows"]] == ["a", "b", "c"]
    assert [said for said in room["said"] if said] == ["news", "repeated", "missed", "news", "news"]
    assert room["cursor"] == {"after": 6, "epoch": "e"}


def test_what_could_not_be_recovered_is_marked_where_it_is_missing(person: Enter) -> None:
    """Old rows go, the post on its way stays, and a divider stands where the last connection ended, among the pages."""
    page = person("page-ada").page
    away = [_joined(3), *_heard(_message(4, "bob", "a")), _posting("p", "mine"), _joined(9)]
    pages = [_older(_message(8, "bob", "x"), _message(9, "bob", "y"), more=True), _older(_message(4, "bob", "a"))]
    room = page.evaluate(ROOM, [*away, *pages])
    gap = "You were away for long. Some messages may be missing here."
    assert [row[1] for row in room["rows"]] == ["a", gap, "x", "y", "mine"]
    assert room["top"] == "removed"
    restored = [
        _joined(9),
        *_heard(_message(10, "bob", "a")),
        _joined(2, "f"),
        _older(_message(2, "bob", "b"), epoch="f"),
    ]
    gap = "The server was restored. Some messages may be missing here."
    assert [row[1] for row in page.evaluate(ROOM, [*restored, *_heard(_message(3, "bob", "c"))])["rows"]] == [
        "b",
        gap,
        "c",
    ]


def test_an_old_edit_on_a_page_does_not_undo_a_newer_one(person: Enter) -> None:
    """Whichever way changes and messages arrive, the newest text stands, and a deleted one never comes back."""
    page = person("page-ada").page

    def text(steps: list[list[Any]]) -> list[str]:
        return [row[1] for row in page.evaluate(ROOM, steps)["rows"]]

    edits = [_change("edited", 6, 4, message="second"), _change("edited", 5, 4, message="first")]
    stored = _message(4, "bob", "second", edited_at=6.0)
    assert text([_joined(6), _older(*reversed(edits)), _older(stored)]) == ["second"]
    stale = _message(4, "bob", "old")
    assert text([_joined(5), *_heard(edits[0]), _older(stale)]) == ["second"]
    assert text([_joined(5), *_heard(_change("deleted", 6, 4)), _older(stale)]) == [""]


def test_memory_is_bounded_in_both_directions(person: Enter) -> None:
    """At most 500 rows: news drop the oldest, older pages the newest, and the way back loses and repeats nothing."""
    down, up, back, ordered = person("page-ada").page.evaluate(MANY, 1200)
    assert down == [500, 701, 1200, True]
    assert up == [500, 1, 500, False, "beginning"]
    assert back == [500, 702, 1201, True]
    assert ordered


def test_a_failure_says_what_to_quote(person: Enter) -> None:
    """A bug of the server's comes with the request's id; a refusal that explains itself does not."""
    failed = {"reason": "internal", "detail": "The server failed. The failure was logged.", "requestId": "5f2b"}
    forbidden = {"reason": "forbidden", "detail": "You may not do that here.", "requestId": "5f2b"}
    told = person("page-ada").page.evaluate(WORDS, [failed, {**failed, "requestId": ""}, forbidden])
    quoted = f"{failed['detail']} To report it, quote request 5f2b."
    assert told == [[quoted] * 2, [failed["detail"]] * 2, [forbidden["detail"]] * 2]
