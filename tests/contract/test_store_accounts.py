"""Accounts, and what is held against them: created once, banned for as long as was said."""

from __future__ import annotations

import asyncio
import math
import time

import pytest
from sqlalchemy.exc import IntegrityError

from app.model import Account, BanKind, UserName
from app.store import Store
from tests.contract.folk import ANN, BOB
from tests.contract.house import HOME, opened


async def test_accounts_are_created_once(store: Store) -> None:
    """A name is one account; what was given is what is read."""
    assert not await store.accounts_exist()
    assert await store.create_account(ANN, "hash-1", admin=True, one_time=True)
    assert not await store.create_account(ANN, "hash-2")
    assert await store.accounts_exist()
    assert await store.account(ANN) == Account(ANN, True, False, "hash-1", True)
    assert await store.account(BOB) is None


async def test_two_creations_at_once_make_one_account(store: Store) -> None:
    """Exactly one of many callers is told that it created the account."""
    answers = await asyncio.gather(*(store.create_account(ANN, f"hash-{n}") for n in range(20)))
    assert sorted(answers) == [False] * 19 + [True]


async def test_upper_case_names_are_refused_by_the_table(store: Store) -> None:
    """A caller that forgot to validate is a bug, and bugs are not outages."""
    with pytest.raises(IntegrityError):
        await store.create_account(UserName("Ann"), "hash")


async def test_a_new_password_lifts_the_one_time_mark(store: Store) -> None:
    """Only accounts that exist can get a password or be disabled."""
    await store.create_account(ANN, "hash-1", one_time=True)
    assert await store.set_password(ANN, "hash-2")
    assert await store.set_disabled(ANN, True)
    assert await store.account(ANN) == Account(ANN, False, True, "hash-2", False)
    assert await store.set_disabled(ANN, False)
    assert await store.account(ANN) == Account(ANN, False, False, "hash-2", False)
    assert not await store.set_password(BOB, "hash")
    assert not await store.set_disabled(BOB, True)


async def test_an_external_subject_keeps_the_account_of_its_first_sight(store: Store) -> None:
    """The wish counts once and only when it is free; a taken name is never handed to another subject."""
    await store.create_account(ANN, "hash")
    carl = await store.external_account("https://idp", "1", "carl")
    other = await store.external_account("https://idp", "2", "carl")
    thief = await store.external_account("https://idp", "3", "ann")
    nameless = await store.external_account("https://other", "1", "")
    assert carl == Account(UserName("carl"), False, False, None, False)
    names = [account.name for account in (other, thief, nameless)]
    assert len(set(names)) == 3
    assert all(name.startswith("ext-") and len(name) == 12 for name in names)
    assert await store.external_account("https://idp", "1", "another-wish") == carl
    assert await store.external_account("https://idp", "3", "ann") == thief


async def test_an_external_account_is_one_under_races(url: str) -> None:
    """Twenty first sights at once over two stores provision one account."""
    async with opened(url) as one, opened(url) as two:
        found = await asyncio.gather(
            *(store.external_account("https://idp", "7", "dora") for _ in range(10) for store in (one, two))
        )
    assert {account.name for account in found} == {"dora"}


async def test_external_names_go_on_when_the_first_one_is_taken(store: Store, other_url: str) -> None:
    """Eight hexadecimal digits may collide; the next ones are tried."""
    first = await store.external_account("https://idp", "9", "")
    async with opened(other_url) as other:
        await other.create_account(first.name, "hash")
        second = await other.external_account("https://idp", "9", "")
    assert second.name.startswith("ext-")
    assert second.name != first.name


async def test_the_longest_ban_in_force_counts(store: Store) -> None:
    """Bans of one user may overlap; one without an end lasts until it is lifted; another's is not ours."""
    await store.create_account(ANN, "hash")
    now = time.time()

    async def until() -> float | None:
        standing, account = await store.standing(ANN, HOME, None, None, now), await store.account(ANN)
        assert standing.account == account
        assert account is not None
        return account.banned_until

    await store.add_ban(BanKind.USER, "bob", None, "not ann", BOB)
    await store.add_ban(BanKind.ADDRESS, "ann", None, "not a user", BOB)
    await store.add_ban(BanKind.USER, "ann", now - 5, "over", BOB)
    assert await until() is None
    await store.add_ban(BanKind.USER, "ann", now + 500, "long", BOB)
    await store.add_ban(BanKind.USER, "ann", now + 100, "short", BOB)
    assert await until() == now + 500
    forever = await store.add_ban(BanKind.USER, "ann", None, "for good", BOB)
    assert await until() == math.inf
    assert await store.lift_ban(forever.id)
    assert await until() == now + 500


async def test_bans_are_listed_as_they_were_made_and_lifted_once(store: Store) -> None:
    """Ids are never used again, so that a note about one stays true."""
    first = await store.add_ban(BanKind.USER, "ann", None, "rude", BOB)
    second = await store.add_ban(BanKind.ADDRESS, "2001:db8::/64", 1e12, "spam", BOB)
    assert await store.bans() == [first, second]
    assert (first.kind, first.value, first.until, first.reason, first.by) == (BanKind.USER, "ann", None, "rude", BOB)
    assert await store.lift_ban(second.id)
    assert not await store.lift_ban(second.id)
    assert await store.bans() == [first]
    third = await store.add_ban(BanKind.USER, "ann", None, "again", BOB)
    assert third.id > second.id
