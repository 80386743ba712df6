"""History: pages of it, messages that were edited or deleted since, and the audit log that outlives it."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import DBAPIError

from app.model import DEFAULT_ROOM, EventKind, RoomId, Stored
from app.roles import Action
from app.store import Store
from app.verdict import ErrorCode
from tests.contract.folk import ADMIN, MEMBER, MODERATOR, OTHER_MEMBER, OWNER
from tests.contract.house import NOWHERE, ROOM, change, does, dump, everything, execute, passes, post, state_of, why


async def said(den: Store, text: str = "first") -> int:
    """The offset of a member's new message."""
    return (await does(den, post(text, None, MEMBER, ROOM))).offset


async def test_pages_before_an_offset_come_oldest_first(store: Store) -> None:
    """`before` is exclusive, nothing means the newest; at most 1000, never negative, nothing below the floor."""
    await passes(store, [post(str(n)) for n in range(1, 1101)])

    async def page(before: int | None, limit: int) -> list[int]:
        return [event.offset for event in await store.events_before(DEFAULT_ROOM, before, limit)]

    assert await page(None, 3) == [1098, 1099, 1100]
    assert await page(1098, 2) == [1096, 1097]
    assert await page(3, 50) == [1, 2]
    assert len(await page(None, 5000)) == 1000
    assert await page(None, -1) == []
    assert await page(1, 50) == []
    assert await store.events_before(NOWHERE, None, 10) == []
    await store.retain(0.0, 1e9, 5)
    assert await page(None, 50) == [1096, 1097, 1098, 1099, 1100]
    assert await page(1097, 50) == [1096]


async def test_an_edit_replaces_the_text_and_is_an_event(den: Store) -> None:
    """Later readers find the newest text, marked as edited; the old one is nowhere."""
    target = await said(den, "old-text")
    event = await does(den, change(MEMBER, Action.EDIT, target=target, message="new-text"))
    assert (event.kind, event.message, event.facts) == (EventKind.EDITED, "new-text", {"target": target})
    message, edited = await everything(den, ROOM, target - 1)
    assert (message.message, message.facts) == ("new-text", {"edited_at": event.timestamp})
    assert edited == event
    assert (await state_of(den)).access == target - 1


async def test_a_deleted_message_leaves_a_tombstone(den: Store, url: str) -> None:
    """Its text and those of all its edits are gone from every row; offsets stay as they were."""
    target = await said(den, "hush-one")
    await passes(
        den,
        [
            change(MEMBER, Action.EDIT, target=target, message="hush-two"),
            change(MEMBER, Action.EDIT, target=target, message="hush-three"),
        ],
    )
    event = await does(den, change(MEMBER, Action.DELETE, target=target, reason="typo"))
    assert (event.kind, event.message, event.facts) == (EventKind.DELETED, "", {"target": target, "reason": "typo"})
    events = await everything(den, ROOM, target - 1)
    assert [(item.offset, item.message, item.facts) for item in events] == [
        (target, "", {"deleted": True}),
        (target + 1, "", {"target": target, "deleted": True}),
        (target + 2, "", {"target": target, "deleted": True}),
        (target + 3, "", {"target": target, "reason": "typo"}),
    ]
    assert "hush" not in dump(url)


async def test_what_cannot_be_edited_or_deleted(den: Store) -> None:
    """Nothing there, not a message, deleted already, out of reach; and no foreign message is edited by anybody."""
    kept, gone = await said(den), await said(den)
    await does(den, change(MEMBER, Action.DELETE, target=gone))
    edit, erase = Action.EDIT, Action.DELETE
    for target in (1, gone, gone + 1, gone + 2, 0, None):
        for action in (edit, erase):
            assert await why(den, change(MEMBER, action, target=target, message="x")) is ErrorCode.EVENT_UNKNOWN
    for user in (OTHER_MEMBER, MODERATOR, OWNER):
        assert await why(den, change(user, edit, target=kept, message="x")) is ErrorCode.EVENT_UNKNOWN
    assert await why(den, change(OTHER_MEMBER, erase, target=kept)) is ErrorCode.FORBIDDEN
    await den.retain(0.0, 1e9, gone + 1 - kept)
    for action in (edit, erase):
        assert await why(den, change(MEMBER, action, target=kept, message="x")) is ErrorCode.EVENT_UNKNOWN


async def test_a_repeated_edit_changes_nothing_again(den: Store) -> None:
    """One id, one event; the text that was said since stays."""
    target = await said(den)
    first = change(MEMBER, Action.EDIT, target=target, message="second", client_id="a")
    await passes(den, [first, change(MEMBER, Action.EDIT, target=target, message="third")])
    (again,) = await passes(den, [first])
    assert again.repeated
    assert again.event.offset == target + 1
    assert (await everything(den, ROOM, target - 1))[0].message == "third"


async def test_the_audit_log_says_who_did_what_and_why(den: Store) -> None:
    """Everything about members and the room, and messages that others deleted; newest first, page by page."""
    before = await den.audit(ROOM, None, 1000)
    target = await said(den)
    events = [
        stored.event
        for stored in await passes(
            den,
            [
                change(MODERATOR, Action.DELETE, target=target, reason="spam"),
                change(MODERATOR, Action.MUTE, user=MEMBER, until=1e12, reason="spam again"),
                change(OWNER, Action.RENAME, facts={"title": "Lair"}),
            ],
        )
    ]
    entries = (await den.audit(ROOM, None, 3))[::-1]
    assert [(e.offset, e.timestamp, e.by, e.room) for e in entries] == [
        (event.offset, event.timestamp, event.sender, ROOM) for event in events
    ]
    assert [(e.action, e.user, e.reason, e.facts) for e in entries] == [
        ("delete_any", MEMBER, "spam", {"target": target}),
        ("mute", MEMBER, "spam again", {"until": 1e12}),
        ("rename", None, "", {"title": "Lair"}),
    ]
    assert await den.audit(ROOM, entries[0].id, 1000) == before
    assert before[-1].action == "create"
    assert before[-1].facts == {"title": "Den", "public": False}
    assert [entry.id for entry in before] == sorted((entry.id for entry in before), reverse=True)
    assert await den.audit(NOWHERE, None, 10) == await den.audit(ROOM, None, -1) == []


async def test_posts_and_what_authors_do_to_their_own_are_not_audited(den: Store) -> None:
    """The log is about what people do to others and to the room."""
    before = await den.audit(ROOM, None, 1000)
    target = await said(den)
    await passes(
        den,
        [change(MEMBER, Action.EDIT, target=target, message="x"), change(MEMBER, Action.DELETE, target=target)],
    )
    assert await den.audit(ROOM, None, 1000) == before
    assert await den.audit(DEFAULT_ROOM, None, 10) == []
    await does(den, change(ADMIN, Action.RENAME, DEFAULT_ROOM, facts={"title": "Hall"}))
    assert len(await den.audit(DEFAULT_ROOM, None, 10)) == 1


async def test_an_entry_keeps_the_id_of_its_request(den: Store, url: str) -> None:
    """For whoever asks the database; a change that nobody asked for over the edge has none."""
    for name, given in (("ab" * 16, "Lair"), (None, "Cave")):
        await does(den, change(OWNER, Action.RENAME, facts={"title": given}, request_id=name))
    room, of = RoomId("attic"), "cd" * 16
    assert isinstance(await den.create_room(room, "Attic", True, OWNER, None, 64, of), Stored)
    rows = execute(url, "SELECT action, request_id FROM audit ORDER BY id DESC LIMIT 3")
    assert rows == [("create", of), ("rename", None), ("rename", "ab" * 16)]


@pytest.mark.parametrize("statement", ["UPDATE audit SET reason = ''", "DELETE FROM audit"])
async def test_the_audit_log_refuses_to_be_changed(den: Store, url: str, statement: str) -> None:
    """The table itself does, whoever asks."""
    with pytest.raises(DBAPIError, match=r"append-only|permission denied"):
        execute(url, statement)
    assert len(await den.audit(ROOM, None, 1000)) > 0
