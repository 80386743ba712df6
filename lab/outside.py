"""What somebody sees who is on the lab's network and on none of its hosts, knowing nothing but the CA."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab.host import LABEL, Host
from stack import engine, images
from stack.contained_start import BARE
from stack.place import CLONE
from stack.problem import Problem

NAME = "chat.lab.test"
"""What the lab's group_vars call the chat."""
SECONDS = 1.0


def token(host: Host) -> str:
    """A fresh access token, from the host's own command."""
    host.ssh("sudo", "portcullis", "user", "NAME=outsider")
    done = host.ssh("sudo", "portcullis", "token", "NAME=outsider")
    if done.returncode:
        raise Problem(f"There is no token to be had:\n{done.stderr}")
    return done.stdout.strip()


def authority(host: Host) -> str:
    """The CA's certificate, as an operator would hand it out."""
    return host.ssh("cat", "/var/lib/portcullis/tls/ca.pem").stdout


def round_trip(host: Host, name: str, access_token: str, trusted: str = "") -> str:
    """Speak to the chat under `name` from a container beside the host, its certificate checked against the stack's CA,
    or the CA `trusted`.

    Returns "well"; raises Problem with what went wrong.
    """
    app = images.names(CLONE)["app"]
    with tempfile.TemporaryDirectory(prefix="portcullis-lab-", dir="/var/tmp") as folder:
        ca = Path(folder, "ca.pem")
        ca.write_text(trusted or authority(host))
        Path(folder).chmod(0o755)
        python = ["python", "-m", "stack.probe", f"wss://{name}/ws/chat", "/ca.pem"]
        words = ["run", "--rm", "--interactive", f"--label={LABEL}={host.lab}", f"--network={host.lab}", *BARE]
        words += [f"--add-host={name}:{host.address}", f"--volume={ca}:/ca.pem:ro", app]
        done = engine.attempt(*words, *python, given=access_token)
    if done.returncode:
        raise Problem(f"A WSS round trip from outside fails: {(done.stdout or done.stderr).strip()[-500:]}")
    return "well"


def own_address(host: Host) -> str:
    """By which this machine speaks to a host."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unsent:
        unsent.connect((host.address, 443))
        return str(unsent.getsockname()[0])


def answering(host: Host, ports: Iterable[int]) -> set[int]:
    """Those TCP ports that answer, with a connection or a refusal: a port behind the firewall is silent."""
    asked = list(ports)
    with ThreadPoolExecutor(len(asked)) as at_once:
        answers = at_once.map(lambda port: _answers(host.address, port), asked)
    return {port for port, answered in zip(asked, answers, strict=True) if answered}


def _answers(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=SECONDS):
            return True
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
