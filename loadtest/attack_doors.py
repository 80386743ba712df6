"""Attackers of everything that comes before a connection: handshakes, credentials, sign-ins, headers."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import time
from typing import Any, Final

from loadtest.line import PATIENCE, Line, Refusal
from loadtest.people import ChatUser

RATE_REASONS: Final = {"ip_rate", "edge_rate"}
TOO_MANY: Final = 429


class HandshakeFlooder(ChatUser):
    """Handshakes without a credential, far faster than one address may: the rate is asked before the credential."""

    every = 0.5

    def act(self) -> None:
        window = self.party.tally.window(self.address)
        for _ in self.party.beats(self.every):
            sent = time.monotonic()
            answer = self.knock(token=None)
            if isinstance(answer, Refusal):
                window.note(sent, time.monotonic(), accepted=answer.reason not in RATE_REASONS)


class LocalHandshakeFlooder(HandshakeFlooder):
    """The same from ::1, all of whose neighbours in its /64 would count as one."""

    def arrive(self) -> None:
        self.address = "::1" if self.party.target.local else ""


class UserHoarder(ChatUser):
    """Opens and keeps more connections of one user than there may be, each from another address."""

    every = 0.4

    def act(self) -> None:
        window = self.party.tally.window(self.account.name)
        for _ in self.party.beats(self.every):
            sent = time.monotonic()
            answer = self.knock(self.party.fresh_address())
            if answer is not None:
                window.note(sent, time.monotonic(), accepted=isinstance(answer, Line))
            if isinstance(answer, Line):
                self.hold(window)


class AddressHoarder(ChatUser):
    """One of many users behind one address, who all want to stay: they come as fast as they may, and not faster."""

    def act(self) -> None:
        window = self.party.tally.window(self.address)
        while not self.party.ended.is_set():
            sent = time.monotonic()
            answer = self.knock()
            if isinstance(answer, Line):
                window.note(sent, time.monotonic(), accepted=True)
                self.hold(window)
                self.party.ended.wait()
            elif answer is not None:
                if answer.reason not in RATE_REASONS:
                    window.note(sent, time.monotonic(), accepted=False)
                self.party.ended.wait(max(0.5, answer.retry_after) + 0.1 * self.number)


class NodeFiller(ChatUser):
    """One of many who come from everywhere and all want to stay."""

    every = 0.5

    def act(self) -> None:
        window = self.party.tally.window("node")
        for _ in self.party.beats(self.every):
            sent = time.monotonic()
            answer = self.knock(self.party.fresh_address())
            if answer is not None:
                window.note(sent, time.monotonic(), accepted=isinstance(answer, Line))
            if isinstance(answer, Line):
                self.hold(window)
                self.party.ended.wait()


def _unsigned(token: str) -> str:
    """The token with `alg: none` and no signature."""
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').rstrip(b"=").decode()
    return f"{head}.{token.split('.')[1]}."


def _forged(token: str) -> str:
    """The token with another signature."""
    head, body, signature = token.split(".")
    return f"{head}.{body}.{signature[::-1]}"


class BadTokenSender(ChatUser):
    """Handshakes with credentials of every bad kind, as often as one address may; each has one right answer."""

    every = 2.2

    def act(self) -> None:
        good = self.account.token
        for number, _ in enumerate(self.party.beats(self.every)):
            kinds: list[tuple[str, dict[str, Any]]] = [
                ("token_invalid", {"token": "garbage"}),
                ("token_invalid", {"token": _forged(good)}),
                ("token_invalid", {"token": _unsigned(good)}),
                ("credential_missing", {"token": None}),
                ("token_exposed", {"token": None, "query": f"?token={good}"}),
            ]
            wanted, options = kinds[(self.number + number) % len(kinds)]
            answer = self.knock(**options)
            if isinstance(answer, Line) or (answer is not None and answer.reason != wanted):
                self.counting.trouble(f"{wanted} was due, not {answer.reason if isinstance(answer, Refusal) else 'in'}")


class Stuffer(ChatUser):
    """Tries passwords: as one address on ever other names, or from many addresses on one name."""

    every = 0.9
    one_name = False

    def act(self) -> None:
        window = self.party.tally.window(self.address)
        for number, _ in enumerate(self.party.beats(self.every)):
            name = self.account.name if self.one_name else f"nobody-{self.number}-{number}"
            sent = time.monotonic()
            try:
                status, reason = self.sign_in(name, "wrong password")
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.counting.trouble(f"sign-in without an answer: {type(error).__name__}")
                continue
            window.note(sent, time.monotonic(), accepted=status != TOO_MANY)
            self.counting.signed_in(reason, time.monotonic() - sent)

    def sign_in(self, name: str, password: str) -> tuple[int, str]:
        """The status and the outcome as the server counts it."""
        target = self.party.target
        connection = http.client.HTTPSConnection(target.host, target.port, timeout=PATIENCE)
        connection.sock = self.party.tls.wrap_socket(target.reach(self.address), server_hostname=target.host)
        try:
            body = json.dumps({"name": name, "password": password})
            headers = {"Host": target.authority, "Origin": target.url, "Content-Type": "application/json"}
            connection.request("POST", "/api/session", body, headers)
            answer = connection.getresponse()
            problem = json.loads(answer.read())
            return answer.status, problem.get("limit") or problem.get("reason", "accepted")
        finally:
            connection.close()


class NameStuffer(Stuffer):
    """The same name from many addresses: what one pair may is less, and nobody else's pair is touched."""

    every = 1.0
    one_name = True


class Dribbler(ChatUser):
    """Opens TLS and then sends its header a byte at a time; every second one never even finishes TLS."""

    def act(self) -> None:
        for number in range(2):
            self.dribble(silent=(self.number + number) % 2 == 0)

    def dribble(self, *, silent: bool) -> None:
        """One connection, until the edge has had enough of it."""
        plain = self.party.target.reach(self.address)
        began = time.monotonic()
        self.counting.fact("dribbled")
        try:
            if silent:
                plain.settimeout(PATIENCE + 5.0)
                self.ended(began, plain.recv(1))
            else:
                self._header(plain, began)
        except OSError:
            self.ended(began, b"")
        finally:
            plain.close()

    def _header(self, plain: socket.socket, began: float) -> None:
        with self.party.tls.wrap_socket(plain, server_hostname=self.party.target.host) as stream:
            stream.sendall(b"GET /ws/chat HTTP/1.1\r\nX-Slow: ")
            self.counting.count("edge_rejected_total", "reason", "client_timeout")
            stream.settimeout(0.5)
            while time.monotonic() < began + PATIENCE + 5.0:
                stream.sendall(b"a")
                try:
                    self.ended(began, stream.recv(64))
                except TimeoutError:
                    continue
                return

    def ended(self, began: float, said: bytes) -> None:
        """The edge closed."""
        if said:
            self.counting.trouble(f"dribbler was answered: {said[:20]!r}")
        self.counting.fact("dribbles ended by the edge")
        self.counting.took("dribble", time.monotonic() - began)
