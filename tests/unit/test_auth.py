"""Authentication against a real store: cookies, tokens, tickets, and how each of them ends."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from app.address import parse_address
from app.auth import Auth, Authenticated, Presented
from app.keys import create_key, open_keys
from app.model import Account, Address, BanKind, Credential, Identity, UserName
from app.passwords import Passwords
from app.settings import Settings
from app.sign_in import SignedIn
from app.store import Store
from app.verdict import Reason
from tests.unit.identity_provider import provider, token
from tests.unit.party import PASSWORD, SharedClock, external

HERE = Address("192.0.2.1")
KEY = ec.generate_private_key(ec.SECP256R1())


class House:
    """An authenticator with its store and clock."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.store = store
        self.clock = SharedClock()
        self.settings = settings
        self.auth = Auth(settings, store, open_keys(settings), self.clock)

    async def sign_in(self) -> SignedIn:
        address = parse_address(HERE)
        assert address is not None
        answer = await self.auth.sign_ins.open("alice", PASSWORD, None, "agent", address)
        assert isinstance(answer, SignedIn)
        return answer

    async def identity(self) -> Identity:
        """Signed in with a cookie."""
        return await self.accepted(Presented("cookie", (await self.sign_in()).cookie))

    async def ask(self, presented: Presented, consume: bool = True) -> Authenticated | Reason:
        return await self.auth.authenticate(presented, HERE, consume=consume)

    async def accepted(self, presented: Presented) -> Identity:
        answer = await self.ask(presented)
        assert isinstance(answer, Authenticated), answer
        return answer.identity


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    create_key(tmp_path / "secrets" / "signing")
    with provider() as idp:
        idp.add("k1", KEY)
        settings = Settings(state=tmp_path, issuers=(external(idp.url),))
        Store.migrate(settings.database)
        store = Store(settings.database, 5.0)
        await store.open()
        house = House(settings, store)
        password_hash = await house.auth.passwords.hash(PASSWORD)
        await store.create_account(UserName("alice"), password_hash)
        yield house
        house.auth.close()
        await store.close()


def bearer(value: str) -> Presented:
    return Presented("bearer", value)


def url(value: str) -> Presented:
    return Presented("url", value)


async def test_cookie(house: House) -> None:
    """The identity obeys the session: its id, and its absolute end after 12 hours."""
    signed_in = await house.sign_in()
    identity = await house.accepted(Presented("cookie", signed_in.cookie))
    assert identity == Identity(
        user=UserName("alice"),
        credential=Credential.SESSION,
        expires_at=int(house.clock.now) + 43_200,
        issuer="https://localhost:8443",
        subject="alice",
        session=signed_in.session.id,
    )


async def test_the_store_never_has_the_cookie(house: House, tmp_path: Path) -> None:
    """A stolen database opens no session."""
    signed_in = await house.sign_in()
    await house.store.close()
    assert all(signed_in.cookie.encode() not in file.read_bytes() for file in (tmp_path / "data").iterdir())


async def test_a_cookie_is_refused_anywhere_else(house: House) -> None:
    """A session's value never works in a URL or as a token, nor does a token as a cookie."""
    cookie = (await house.sign_in()).cookie
    assert await house.ask(url(cookie)) is Reason.TOKEN_INVALID
    assert await house.ask(bearer(cookie)) is Reason.TOKEN_INVALID
    made = house.auth.access_token(await house.identity())[0]
    assert await house.ask(Presented("cookie", made)) is Reason.TOKEN_INVALID
    assert await house.ask(Presented("cookie", "A" * 43)) is Reason.TOKEN_INVALID


async def test_idle_and_absolute_end(house: House) -> None:
    """Half an hour without use ends a session; use prolongs it, up to 12 hours."""
    cookie = Presented("cookie", (await house.sign_in()).cookie)
    begun = house.clock.now
    while house.clock.now < begun + 43_200 - 1700:
        house.clock.now += 1700
        await house.accepted(cookie)
    house.clock.now = begun + 43_200
    assert await house.ask(cookie) is Reason.TOKEN_EXPIRED
    house.clock.now = begun
    idle = Presented("cookie", (await house.sign_in()).cookie)
    house.clock.now += 1801
    assert await house.ask(idle) is Reason.TOKEN_EXPIRED


async def test_access_token(house: House) -> None:
    """It says who, from which session, and ends with that session at once."""
    session = await house.identity()
    made = house.auth.access_token(session)[0]
    identity = await house.accepted(bearer(made))
    assert (identity.user, identity.credential, identity.session) == ("alice", Credential.TOKEN, session.session)
    assert identity.expires_at == int(house.clock.now) + 300
    assert session.session is not None
    await house.store.end_session(session.user, session.session)
    assert await house.ask(bearer(made)) is Reason.TOKEN_REVOKED


async def test_revoked_token(house: House) -> None:
    """Revoked by its id: refused although it was verified and remembered before."""
    made = house.auth.access_token(await house.identity())[0]
    identity = await house.accepted(bearer(made))
    assert identity.token_id is not None
    await house.store.revoke_token(identity.token_id, identity.expires_at)
    assert await house.ask(bearer(made)) is Reason.TOKEN_REVOKED


async def test_ticket_works_once(house: House) -> None:
    """Asking leaves it usable, a handshake uses it up, and the connection obeys the parent."""
    session = await house.identity()
    presented = url(house.auth.ticket(session)[0])
    for _ in range(3):
        assert isinstance(await house.ask(presented, consume=False), Authenticated)
    identity = await house.accepted(presented)
    assert identity == replace(session, credential=Credential.TICKET)
    assert await house.ask(presented) is Reason.TOKEN_REUSED
    late = url(house.auth.ticket(session)[0])
    house.clock.now += 31
    assert await house.ask(late) is Reason.TOKEN_EXPIRED


async def test_ticket_of_a_revoked_parent(house: House) -> None:
    """A ticket made from a token is worth as much as that token."""
    parent = await house.accepted(bearer(house.auth.access_token(await house.identity())[0]))
    ticket = house.auth.ticket(parent)[0]
    assert parent.token_id is not None
    await house.store.revoke_token(parent.token_id, parent.expires_at)
    assert await house.ask(url(ticket)) is Reason.TOKEN_REVOKED


async def test_exposed_tokens(house: House) -> None:
    """In a URL a token may live for five minutes at most, ours or an external issuer's; a header takes it."""
    now = int(house.clock.now)
    assert await house.ask(url(token(KEY, "k1", iat=now, exp=now + 301))) is Reason.TOKEN_EXPOSED
    assert await house.ask(url(token(KEY, "k1", iat=now + 4, exp=now + 304))) is Reason.TOKEN_EXPOSED
    assert isinstance(await house.ask(bearer(token(KEY, "k1", iat=now, exp=now + 301))), Authenticated)
    assert isinstance(await house.ask(url(token(KEY, "k1", iat=now, exp=now + 300))), Authenticated)
    assert isinstance(await house.ask(url(house.auth.access_token(await house.identity())[0])), Authenticated)


async def test_account_that_is_gone(house: House) -> None:
    """A token in the name of nobody is not valid."""
    nobody = replace(await house.identity(), user=UserName("nobody"), session=None)
    assert await house.ask(bearer(house.auth.access_token(nobody)[0])) is Reason.TOKEN_INVALID


async def test_standing_is_reported_not_judged(house: House) -> None:
    """Later gates judge account and address; a refresh, which has none, is refused here."""
    identity = await house.identity()
    made = house.auth.access_token(identity)[0]
    alice, admin = UserName("alice"), UserName("admin")
    await house.store.add_ban(BanKind.ADDRESS, HERE, None, "", admin)
    assert await house.auth.refresh(identity, made, HERE) is Reason.IP_BANNED
    await house.store.add_ban(BanKind.USER, alice, None, "", admin)
    assert await house.auth.refresh(identity, made, HERE) is Reason.ACCOUNT_BANNED
    await house.store.set_disabled(alice, True)
    assert await house.auth.refresh(identity, made, HERE) is Reason.ACCOUNT_DISABLED
    answer = await house.ask(bearer(made))
    assert isinstance(answer, Authenticated)
    assert answer.account.disabled and answer.account.banned_until is not None and answer.address_banned


async def test_refresh(house: House) -> None:
    """The same issuer and subject go on with the new expiry; anybody else's token is not valid here."""
    identity = await house.identity()
    house.clock.now += 10
    made = house.auth.access_token(identity)[0]
    fresh = await house.auth.refresh(identity, made, HERE)
    assert isinstance(fresh, Identity)
    assert fresh.expires_at == int(house.clock.now) + 300
    ticket = house.auth.ticket(identity)[0]
    assert isinstance(await house.auth.refresh(identity, ticket, HERE), Identity)
    assert await house.auth.refresh(identity, ticket, HERE) is Reason.TOKEN_REUSED
    await house.store.create_account(UserName("bob"), "x")
    bobs = replace(identity, user=UserName("bob"), subject="bob", session=None)
    assert await house.auth.refresh(identity, house.auth.access_token(bobs)[0], HERE) is Reason.TOKEN_INVALID
    assert await house.auth.refresh(identity, token(KEY, "k1"), HERE) is Reason.TOKEN_INVALID
    assert await house.auth.refresh(identity, "garbage", HERE) is Reason.TOKEN_INVALID


async def test_external_account(house: House) -> None:
    """Made at first sight under the name it wishes, if that is valid and free; the same ever after."""
    first = await house.accepted(bearer(token(KEY, "k1")))
    assert (first.user, first.issuer, first.subject, first.admin) == ("erin", "https://idp.example", "u-1", False)
    again = await house.accepted(bearer(token(KEY, "k1", preferred_username="other")))
    assert again.user == "erin"
    for number, wish in enumerate(["alice", "erin", "system", "No Name", None]):
        other = await house.accepted(bearer(token(KEY, "k1", sub=f"v-{number}", preferred_username=wish)))
        assert other.user.startswith("ext-")


async def test_external_session_refreshes_with_its_own_kind(house: House) -> None:
    """A ticket made from an external token keeps the issuer and the subject, so its refresh works."""
    outside = await house.accepted(bearer(token(KEY, "k1")))
    ticket = await house.accepted(url(house.auth.ticket(outside)[0]))
    assert (ticket.issuer, ticket.subject, ticket.user) == (outside.issuer, outside.subject, outside.user)
    fresh = await house.auth.refresh(ticket, token(KEY, "k1", iat=int(time.time()) - 1), HERE)
    assert isinstance(fresh, Identity)


async def test_external_accounts_have_no_password(house: House) -> None:
    """Their name with any password is wrong."""
    await house.accepted(bearer(token(KEY, "k1")))
    address = parse_address(HERE)
    assert address is not None
    for password in ("", "None", "x"):
        answer = await house.auth.sign_ins.open("erin", password, None, "", address)
        assert answer == "credentials_wrong"


async def test_outdated_hashes_are_renewed(house: House) -> None:
    """A sign-in brings the hash to today's parameters, and the password stays the same."""
    old = Passwords(Settings(argon2_passes=3))
    await house.store.set_password(UserName("alice"), await old.hash(PASSWORD))
    old.close()
    await house.sign_in()
    account = await house.store.account(UserName("alice"))
    assert isinstance(account, Account) and account.password_hash is not None
    assert "t=2," in account.password_hash
    await house.sign_in()


async def test_public_keys(house: House) -> None:
    """What is published verifies what is signed."""
    made = house.auth.access_token(await house.identity())[0]
    (jwk,) = house.auth.jwks()["keys"]
    assert jwk["kid"] == jwt.get_unverified_header(made)["kid"]
    decoded = jwt.decode(made, jwt.PyJWK(jwk), algorithms=["ES256"], audience="portcullis")
    assert decoded["sub"] == "alice"
