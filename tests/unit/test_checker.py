"""The delivery checker's judge: green on every run that keeps the promise, red on each single thing that breaks it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from client.check_fault import Fault, Verdict
from client.check_judge import judge
from client.check_members import Span, spans
from client.record import Delivered, Ended, History, Joined, Record, Stored
from tests.unit.run_of_rooms import EPOCH, OWNER, Run, deliveries

Material = tuple[list[Record], dict[str, History]]
USERS, ROOMS = ("ann", "bob", "cid"), ("red", "blue")


def a_run() -> Run:
    """Three in one room: ann stays, bob is cut and resumes, cid is removed and comes back, and is removed again."""
    run = Run(USERS, ROOMS)
    for user in USERS:
        run.join(user, "red")
    for user in USERS:
        run.post(user, "red")
    run.cut("bob")
    run.post("ann", "red")
    run.connect("bob")
    run.kick("cid", "red")
    run.post("ann", "red")
    run.join("cid", "red")
    run.post("cid", "red")
    run.kick("cid", "red")
    run.post("bob", "red")
    return run


@pytest.fixture
def material() -> Material:
    """What such a run leaves behind."""
    return a_run().rest()


def of(material: Material, user: str) -> Record:
    return next(record for record in material[0] if record.user == user)


def got(record: Record, index: int) -> Delivered:
    saw = record.saw[index]
    assert isinstance(saw, Delivered)
    return saw


def carried(material: Material) -> Verdict:
    """The verdict where every caller got what came, whatever that was."""
    for record in material[0]:
        record.handed = [saw for saw in record.saw if isinstance(saw, Delivered)]
    return judge(*material)


def red(material: Material, fault: Fault, *words: str) -> None:
    """Not kept, by this fault, in a sentence with these words."""
    said(carried(material), fault, *words)


def said(verdict: Verdict, fault: Fault, *words: str) -> None:
    assert verdict.first is not None
    assert verdict.first.fault is fault, str(verdict)
    assert all(word in str(verdict) for word in ("red", *words)), str(verdict)


def test_green_on_a_run_that_keeps_the_promise(material: Material) -> None:
    """Cuts, resumes, removals and returns alone are no fault, and what there was to go by is counted."""
    verdict = judge(*material)
    assert verdict.kept, str(verdict)
    assert verdict.counted["acked"] == 7
    assert verdict.counted["resumed"] == 1
    assert verdict.counted["delivered"] > 30


def test_acked_and_not_stored(material: Material) -> None:
    """Lost: the store does not have what it acked; the sentence names room, offset, client and post."""
    records, histories = material
    post = of(material, "bob").posts[-1]
    histories["red"].events.pop()
    for record in records:
        record.saw = [saw for saw in record.saw if not (isinstance(saw, Delivered) and saw.offset == post.offset)]
    red(material, Fault.LOST, f"offset {post.offset}", "bob", post.id, "acked and is not stored")


def test_acked_where_something_else_is_stored(material: Material) -> None:
    """Lost: the ack named the place of another event."""
    post = of(material, "ann").posts[0]
    post.offset = 2
    red(material, Fault.LOST, "offset 2", "ann", "something else")


def test_stored_and_not_delivered_in_between(material: Material) -> None:
    """Lost: a live client got the event after it and not this one."""
    record = of(material, "ann")
    missing = got(record, deliveries(record, "red")[2])
    record.saw.remove(missing)
    red(material, Fault.LOST, f"offset {missing.offset}", "ann", "never delivered")


def test_left_out_on_one_connection_and_resumed_on_the_next(material: Material) -> None:
    """Lost: a client that notices the gap and asks again does not make good what that connection left out."""
    record = of(material, "bob")
    first_life = [index for index in deliveries(record, "red") if got(record, index).life == 1]
    left_out = got(record, first_life[-2])
    del record.saw[first_life[-2]]
    resumed = next(index for index, saw in enumerate(record.saw) if isinstance(saw, Joined) and saw.recovered)
    record.saw.insert(resumed + 1, replace(left_out, life=2))
    red(material, Fault.LOST, f"offset {left_out.offset}", "bob", "(connection 1)")


def test_stored_and_not_delivered_at_the_end(material: Material) -> None:
    """Lost: nothing came after it, and the client is live."""
    record = of(material, "ann")
    last = got(record, deliveries(record, "red")[-1])
    record.saw.remove(last)
    red(material, Fault.LOST, f"offset {last.offset}", "ann", "though they are live")


def test_not_told_of_the_own_removal(material: Material) -> None:
    """Lost: the kick is the last event that a removed member gets."""
    record = of(material, "cid")
    kick = got(record, deliveries(record, "red")[-1])
    record.saw.remove(kick)
    red(material, Fault.LOST, f"offset {kick.offset}", "cid")


def test_a_resume_that_leaves_something_out(material: Material) -> None:
    """Lost: `recovered: true`, from an offset above the one that the client had."""
    record = of(material, "bob")
    index, joined = next(
        (index, saw) for index, saw in enumerate(record.saw) if isinstance(saw, Joined) and saw.recovered
    )
    record.saw[index] = replace(joined, offset=joined.offset + 1)
    del record.saw[index + 1]
    red(material, Fault.LOST, f"offset {joined.offset + 1}", "bob", "went on after")


def test_a_client_that_forgets_where_it_was(material: Material) -> None:
    """Lost: it joins anew though its membership never ended."""
    record = of(material, "bob")
    index, joined = next(
        (index, saw) for index, saw in enumerate(record.saw) if isinstance(saw, Joined) and saw.recovered
    )
    record.saw[index] = replace(joined, after=None, offset=joined.newest, recovered=False)
    del record.saw[index + 1]
    red(material, Fault.LOST, "bob", "went on after")


def test_a_member_that_is_not_live_again(material: Material) -> None:
    """Lost: somebody who is a member in the end has to be there."""
    record = of(material, "ann")
    record.saw.append(Ended(99.0, 1))
    red(material, Fault.LOST, "ann", "not live again")


def test_a_gap_in_the_store(material: Material) -> None:
    """Lost: offsets are consecutive, whatever was acked or delivered."""
    run = Run((), ROOMS)
    run.post(OWNER, "red")
    records, histories = run.rest()
    events = histories["red"].events
    events.append(replace(events[-1], offset=4, kind="room"))
    records[0].saw.clear()
    red((records, histories), Fault.LOST, "offset 3", "missing in the store")


def test_delivered_twice(material: Material) -> None:
    """Repeated: the same event came to the same caller again, at once or on a later connection."""
    record = of(material, "bob")
    first = got(record, deliveries(record, "red")[1])
    record.saw.insert(record.saw.index(first) + 1, first)
    red(material, Fault.REPEATED, f"offset {first.offset}", "bob", "again")


def test_stored_twice(material: Material) -> None:
    """Repeated: one id has two offsets in the store, although both were delivered to everyone like any other."""
    run = a_run()
    last = run.frames["red"][-1]
    run.write("red", last["sender"], type="message", message=last["message"])
    red(run.rest(), Fault.REPEATED, f"offset {last['offset'] + 1}", "bob", "second time")


def test_delivered_in_another_order(material: Material) -> None:
    """Reordered: two events changed places."""
    record = of(material, "ann")
    first, second = deliveries(record, "red")[1:3]
    record.saw[first], record.saw[second] = record.saw[second], record.saw[first]
    red(material, Fault.REORDERED, f"offset {got(record, first).offset}", "ann", "before offset")


def test_delivered_after_a_removal(material: Material) -> None:
    """Leaked: the event after the kick came to the one who was kicked."""
    record, other = of(material, "cid"), of(material, "ann")
    after = got(other, deliveries(other, "red")[-1])
    record.saw.append(after)
    red(material, Fault.LEAKED, f"offset {after.offset}", "cid", "after they had been removed")


def test_delivered_to_somebody_who_was_never_in_the_room(material: Material) -> None:
    """Leaked: without a stay, nothing may come."""
    other = of(material, OWNER)
    event = got(other, deliveries(other, "red")[1])
    stranger = Record("dan", saw=[event])
    material[0].append(stranger)
    red(material, Fault.LEAKED, f"offset {event.offset}", "dan", "outside of any stay")


def test_let_in_while_not_a_member(material: Material) -> None:
    """Leaked: `joined` alone is too much, before anything was delivered."""
    history = material[1]["red"]
    newest = history.events[-1].offset
    of(material, "cid").saw.append(Joined(99.0, 1, "red", None, newest, newest, EPOCH, recovered=False))
    red(material, Fault.LEAKED, f"offset {newest}", "cid", "let in while not a member")


def test_accepted_from_somebody_removed() -> None:
    """Leaked: the store took a post of somebody who was not in the room."""
    run = a_run()
    run.places["cid", "red"].live = True
    run.post("cid", "red")
    assert judge(*run.rest()).faults > 0
    red(run.rest(), Fault.LEAKED, "cid", "accepted from them")


@pytest.mark.parametrize("spoilt", [{"digest": "0" * 16}, {"sender": OWNER}, {"kind": "edited"}])
def test_another_content_than_is_stored(material: Material, spoilt: dict[str, str]) -> None:
    """Altered: text, author and kind are those of the store."""
    record = of(material, "bob")
    index = deliveries(record, "red")[1]
    record.saw[index] = replace(got(record, index), **spoilt)  # type: ignore[arg-type]
    red(material, Fault.ALTERED, f"offset {got(record, index).offset}", "bob")


def test_an_event_that_nobody_stored(material: Material) -> None:
    """Invented: delivered, and not in the store."""
    record = of(material, "ann")
    last = got(record, deliveries(record, "red")[-1])
    record.saw.append(replace(last, offset=last.offset + 1))
    red(material, Fault.INVENTED, f"offset {last.offset + 1}", "ann", "is not stored")


def test_a_message_that_nobody_posted() -> None:
    """Invented: the store says somebody said it, who did not."""
    run = a_run()
    offset = run.write("red", "ann", type="message", message="not mine")
    red(run.rest(), Fault.INVENTED, f"offset {offset}", "ann", "never posted")


def reset(record: Record, epoch: str = EPOCH) -> Joined:
    """Let the resume be answered by recovered: false; what was replayed is gone then."""
    index, joined = next(
        (index, saw) for index, saw in enumerate(record.saw) if isinstance(saw, Joined) and saw.recovered
    )
    changed = replace(joined, offset=joined.newest, recovered=False, epoch=epoch)
    record.saw[index] = changed
    del record.saw[index + 1]
    return changed


def test_a_reset_for_no_reason(material: Material) -> None:
    """Reset: `recovered: false` is a loss, though an admitted one."""
    joined = reset(of(material, "bob"))
    red(material, Fault.RESET, f"offset {joined.offset}", "bob", f"after {joined.after}", "recovered: false")


def test_a_reset_that_retention_explains(material: Material) -> None:
    """No fault: what the client asked for is below the floor. What is gone is not missed elsewhere, either."""
    joined = reset(of(material, "bob"))
    assert joined.after is not None
    history = material[1]["red"]
    kept = [event for event in history.events if event.offset > joined.after + 1]
    material[1]["red"] = replace(history, floor=joined.after + 1, events=kept)
    verdict = carried(material)
    assert verdict.kept, str(verdict)


def test_a_reset_that_an_epoch_explains(material: Material) -> None:
    """No fault: offsets of another epoch mean nothing in this one."""
    record = of(material, "bob")
    reset(record)
    record.saw = [replace(saw, epoch="e0") if isinstance(saw, Joined) and not saw.after else saw for saw in record.saw]
    verdict = carried(material)
    assert verdict.kept, str(verdict)


def test_a_post_without_an_answer(material: Material) -> None:
    """Unanswered: neither acked nor refused in the end."""
    post = of(material, "ann").posts[0]
    post.offset = None
    red(material, Fault.UNANSWERED, "ann", post.id)


def test_the_first_counterexample_is_the_earliest(material: Material) -> None:
    """With several, the one that happened first is told, and how many more there are."""
    for user in ("bob", "ann"):
        record = of(material, user)
        record.saw.remove(got(record, deliveries(record, "red")[1 if user == "ann" else -2]))
    verdict = carried(material)
    assert verdict.faults == 2
    assert verdict.first is not None
    assert verdict.first.user == "ann"
    assert "1 more" in str(verdict)


def test_memberships_come_from_the_rooms_own_events() -> None:
    """They begin with creation or joining and end with leaving or removal; nothing else changes them."""
    changes = ["invited", "joined", "muted", "role", "banned", "unbanned", "invited", "joined", "left", "kicked"]
    events = [Stored(1, "room", OWNER, "", 0.0, "created")]
    events += [
        Stored(offset, "member", OWNER, "", 0.0, change, "ann") for offset, change in enumerate(changes, start=2)
    ]
    assert spans(History("red", EPOCH, events)) == {OWNER: [Span(1)], "ann": [Span(3, 6), Span(9, 10)]}
    cut = History("red", EPOCH, events[4:], floor=4)
    assert spans(cut) == {"ann": [Span(0, 6), Span(9, 10)]}


def test_the_library_loses_one(material: Material) -> None:
    """Lost: it came over the connection, and the caller never got it; in between or at the end."""
    missing = of(material, "bob").handed.pop(2)
    said(judge(*material), Fault.LOST, f"offset {missing.offset}", "bob", "never handed to the caller")
    of(material, "bob").handed.insert(2, missing)
    last = of(material, "bob").handed.pop()
    said(judge(*material), Fault.LOST, f"offset {last.offset}", "bob", "never handed to the caller")


def test_the_library_repeats_one(material: Material) -> None:
    """Repeated: the caller got it twice, as after a resume from too low an offset."""
    handed = of(material, "bob").handed
    handed.append(handed[2])
    said(judge(*material), Fault.REPEATED, f"offset {handed[2].offset}", "bob", "handed to the caller again")


def test_the_library_swallows_what_came_again(material: Material) -> None:
    """No fault: what a resume from below brings again, the caller gets once."""
    record = of(material, "bob")
    index, joined = next(
        (index, saw) for index, saw in enumerate(record.saw) if isinstance(saw, Joined) and saw.recovered
    )
    assert joined.after is not None
    again = next(saw for saw in record.saw if isinstance(saw, Delivered) and saw.offset == joined.after)
    record.saw[index : index + 1] = [replace(joined, after=joined.after - 1, offset=joined.after - 1), again]
    verdict = judge(*material)
    assert verdict.kept, str(verdict)
