"""One WSS round trip through the whole stack, run by the runtime environment's Python.

Arguments: the URL, whose name the certificate has to be for; a file of trusted certificates; and the host to connect
to, unless it is the URL's. The access token is read from standard input. It joins no room and posts nothing. Prints a
sentence and ends with 1 when the round trip does not work.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
from urllib.parse import urlsplit

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect
from websockets.typing import Subprotocol

SECONDS = 5.0


def round_trip(url: str, authority: str, token: str, host: str = "") -> str | None:
    """Say `ping` and wait for its ack; returns what went wrong, or None."""
    trust = ssl.create_default_context(cafile=authority)
    # As stack.certificate.Trust has it, which this Python may not be able to import.
    trust.verify_flags = (trust.verify_flags | ssl.VERIFY_X509_PARTIAL_CHAIN) & ~ssl.VERIFY_X509_STRICT
    parts = urlsplit(url)
    headers = {"Authorization": f"Bearer {token}"}
    try:
        with connect(
            url,
            sock=socket.create_connection((host or parts.hostname, parts.port or 443), SECONDS),
            ssl=trust,
            subprotocols=[Subprotocol("chat.v1")],
            additional_headers=headers,
            open_timeout=SECONDS,
            proxy=None,
        ) as chat:
            chat.send(json.dumps({"type": "ping", "id": "probe"}))
            while True:
                frame = json.loads(chat.recv(timeout=SECONDS))
                if frame.get("id") == "probe":
                    return None if frame["type"] == "ack" else f"the ping was answered {frame}"
    except (OSError, TimeoutError, WebSocketException, ValueError) as error:
        return str(error) or type(error).__name__


def main() -> int:
    """See the module."""
    url, authority, *host = sys.argv[1:]
    wrong = round_trip(url, authority, sys.stdin.readline().strip(), *host)
    if wrong:
        print(wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
