"""How a client proves who it is. A credential is asked for every connection, so that each can have a fresh one."""

from __future__ import annotations

import base64
import inspect
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlencode

from client.api import Api
from client.errors import ChatError, Ended

Source = str | Callable[[], str | Awaitable[str]]
"""A value, or where to get a fresh one."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What goes into one handshake or request. Its repr shows nothing."""

    headers: dict[str, str] = field(default_factory=dict, repr=False)
    query: str = field(default="", repr=False)


class Credential(Protocol):
    """Raises Rejected for what the server refuses, OSError when it cannot be asked."""

    renews: bool
    """Whether asking again gives another one."""

    async def proof(self, api: Api) -> Proof:
        """For one handshake, or one request."""
        ...

    async def fresh(self, api: Api) -> str:
        """A token or ticket for `refresh`, of the same user."""
        ...

    def user(self) -> str | None:
        """The account's name, where the last proof tells it."""
        ...

    def expired(self) -> None:
        """The last proof was refused as expired: the next one has to be another, or raises Ended."""
        ...

    async def close(self, api: Api) -> None:
        """Give back what was opened for it."""
        ...


async def _value(source: Source) -> str:
    given = source() if callable(source) else source
    return await given if inspect.isawaitable(given) else given


class Token:
    """An access token in the Authorization header. A callable is asked anew for each connection and refresh."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.renews = callable(source)
        self._last = self._dead = ""

    async def proof(self, api: Api) -> Proof:
        return Proof({"Authorization": f"Bearer {await self.fresh(api)}"})

    async def fresh(self, api: Api) -> str:  # noqa: ARG002 - others ask the server
        self._last = (await _value(self._source)).strip()
        if self._last == self._dead:
            raise Ended("token_expired", "the same token again")
        return self._last

    def user(self) -> str | None:
        return _subject(self._last)

    def expired(self) -> None:
        self._dead = self._last

    async def close(self, api: Api) -> None:
        pass


class SignIn:
    """A session of one's own: signs in with name and password, keeps the cookie, signs in again when it has ended."""

    renews = True

    def __init__(self, name: str, password: Source) -> None:
        self._name = name
        self._password = password
        self._cookie: str | None = None

    async def proof(self, api: Api) -> Proof:
        if self._cookie is None:
            await self._open(api)
        return Proof({"Cookie": self._cookie or "", "Origin": api.origin})

    async def fresh(self, api: Api) -> str:
        """A ticket of a new session: the one that the connection descends from is about to end."""
        await self._open(api)
        return await _ticket(api, await self.proof(api))

    def user(self) -> str | None:
        return self._name

    def expired(self) -> None:
        self._cookie = None

    async def close(self, api: Api) -> None:
        """Sign out."""
        if self._cookie is not None:
            proof, self._cookie = await self.proof(api), None
            await api.call("DELETE", "/api/session", headers=proof.headers)

    async def _open(self, api: Api) -> None:
        body = {"name": self._name, "password": await _value(self._password)}
        _, cookies = await api.call("POST", "/api/session", body, {"Origin": api.origin})
        found = [cookie.partition(";")[0] for cookie in cookies if cookie.startswith("__Host-session=")]
        if not found:
            raise ChatError("the sign-in set no session cookie")
        self._cookie = found[0]


class Ticket:
    """A single-use ticket in the URL, got with another credential: for where a handshake can carry no header."""

    def __init__(self, parent: Credential) -> None:
        self._parent = parent
        self.renews = parent.renews

    async def proof(self, api: Api) -> Proof:
        return Proof(query="?" + urlencode({"token": await _ticket(api, await self._parent.proof(api))}))

    async def fresh(self, api: Api) -> str:
        return await self._parent.fresh(api)

    def user(self) -> str | None:
        return self._parent.user()

    def expired(self) -> None:
        self._parent.expired()

    async def close(self, api: Api) -> None:
        await self._parent.close(api)


async def _ticket(api: Api, proof: Proof) -> str:
    answer, _ = await api.call("POST", "/api/tickets", headers=proof.headers)
    return str(answer["ticket"])


def _subject(token: str) -> str | None:
    """The `sub` of a JWT, unchecked: it is the client's own. None for what is no JWT."""
    try:
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        return str(claims["sub"])
    except (IndexError, ValueError, KeyError, TypeError):
        return None
