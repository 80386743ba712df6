"""The stores' passwords, made once, and the certificate's key: only the container that needs a file can read it."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from stack import certificate, compose, engine
from stack.place import Place
from stack.problem import Problem

APP, EDGE, VALKEY, POSTGRES, EXPORTER = 10001, 10002, 10003, 10004, 10007
USERS = """\
user default off
user health on nopass resetkeys resetchannels -@all +ping{more}
user watch #{watch} on resetkeys resetchannels -@all +ping +info +slowlog|len +latency|latest
user portcullis #{app} on resetkeys ~{{portcullis}}:* resetchannels &{{portcullis}}:* -@all {commands}
"""
"""Valkey's accounts. `health` may say PING, `watch` ask how it is, and the app what docs/redis.md says, on its own keys
and channels.
"""
COMMANDS = (
    "+ping +publish +subscribe +evalsha +script|load "
    "+time +get +mget +set +del +exists +pexpire +zadd +zcount +zrange +zrem +zremrangebyscore +zscore"
)
"""As in app/redis_link.py, which this interpreter may not be able to import; a test compares the two."""
PEERS = """\
user replica #{replica} on resetkeys resetchannels -@all +psync +replconf +ping
user sentinel #{sentinel} on resetkeys resetchannels &__sentinel__:hello -@all +multi +exec +slaveof +replicaof +ping \
+subscribe +publish +config|rewrite +role +info +client|setname +client|kill +script|kill
"""
"""What servers of a cluster need besides: `replica` copies, `sentinel` watches (valkey.io/topics/sentinel)."""
SENTINEL_USERS = """\
user default off
user health on nopass resetkeys resetchannels -@all +ping +sentinel|get-master-addr-by-name
user portcullis #{app} on resetkeys resetchannels -@all +ping +sentinel|get-master-addr-by-name
user sentinel #{sentinel} on resetkeys resetchannels &__sentinel__:hello -@all +ping +publish +info +client|setname \
+sentinel|is-master-down-by-addr
"""
"""The Sentinels' accounts: what the app asks them is docs/redis.md's."""
HANDS = ["--cap-drop=ALL", "--cap-add=CHOWN", "--cap-add=DAC_OVERRIDE", "--security-opt=no-new-privileges:true"]
OWN = 'while read -r id path; do chown "$id:$id" "/folder/$path"; done'


def content() -> dict[str, tuple[int, str]]:
    """Each secret file's owner and text. The same password is in two files where two users need it."""
    owner, app, valkey, watch, watch_valkey = (secrets.token_urlsafe(32) for _ in range(5))
    accounts = users(digest(valkey), digest(watch_valkey))
    return {
        "app_database_password": (APP, app + "\n"),
        "app_valkey_password": (APP, valkey + "\n"),
        "exporter_database_password": (EXPORTER, watch + "\n"),
        "exporter_valkey_password": (EXPORTER, json.dumps({"redis://watch@valkey:6379": watch_valkey}) + "\n"),
        "migrate_database_password": (APP, owner + "\n"),
        "postgres_owner_password": (POSTGRES, owner + "\n"),
        "postgres_password": (POSTGRES, app + "\n"),
        "postgres_watch_password": (POSTGRES, watch + "\n"),
        "valkey_users": (VALKEY, accounts),
    }


def users(app: str, watch: str, more: str = "") -> str:
    """Valkey's accounts, by the digests of their passwords; `more` is what `health` may say besides."""
    return USERS.format(app=app, watch=watch, commands=COMMANDS, more=more)


def cluster_users(app: str, watch: str, replica: str, sentinel: str) -> str:
    """The accounts of a cluster's Valkey, by the digests of their passwords."""
    return users(app, watch, " +role +dbsize") + PEERS.format(replica=replica, sentinel=sentinel)


def sentinel_users(app: str, sentinel: str) -> str:
    """Those of its Sentinels."""
    return SENTINEL_USERS.format(app=app, sentinel=sentinel)


def digest(password: str) -> str:
    """What may stand where the text itself may not."""
    return hashlib.sha256(password.encode()).hexdigest()


def cluster_content() -> dict[str, tuple[int, str]]:
    """The same in a cluster, with what its servers tell each other."""
    found = content()
    app = found["app_valkey_password"][1].strip()
    watch, replica, sentinel = (secrets.token_urlsafe(32) for _ in range(3))
    servers = {f"rediss://watch@valkey-{number}:6379": watch for number in (1, 2, 3)}
    digests = [digest(one) for one in (app, watch, replica, sentinel)]
    return found | {
        "exporter_valkey_password": (EXPORTER, json.dumps(servers) + "\n"),
        "valkey_users": (VALKEY, cluster_users(*digests)),
        "valkey_replica_password": (VALKEY, replica + "\n"),
        "sentinel_users": (VALKEY, sentinel_users(digests[0], digests[3])),
        "sentinel_password": (VALKEY, sentinel + "\n"),
    }


def make(place: Place, image: str, wanted: Mapping[str, tuple[int, str]] | None = None) -> list[str]:
    """Make the passwords where there are none; returns words about it. Raises Problem when there is half a set."""
    folder, wanted = compose.folder(place) / "secrets", wanted or content()
    there = [name for name in wanted if (folder / name).exists()]
    if len(there) == len(wanted):
        return []
    if there:
        missing = ", ".join(name for name in wanted if name not in there)
        raise Problem(f"Of the secrets in {folder} these are gone: {missing}. Put them back, or delete the others too.")
    return renew(place, image, wanted)


def renew(place: Place, image: str, wanted: Mapping[str, tuple[int, str]] | None = None) -> list[str]:
    """Make the passwords anew; returns words about it. A container sees those that were there when it was made."""
    folder, wanted = compose.folder(place) / "secrets", wanted or content()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, (_, text) in wanted.items():
        write(folder / name, text.encode())
    own(place, image, {f"secrets/{name}": uid for name, (uid, _) in wanted.items()})
    return [f"{len(wanted)} in {folder}"]


def show(place: Place, image: str) -> bool:
    """Give the edge the server's certificate and key, and not the authority's; returns whether they were others."""
    folder = compose.folder(place) / "tls"
    pem, key = certificate.server(place), place.tls / "server.key"
    shown = folder / "server.pem"
    if shown.exists() and shown.read_bytes() == pem.read_bytes() and (folder / "server.key").exists():
        return False
    folder.mkdir(mode=0o755, exist_ok=True)
    write(folder / "server.key", key.read_bytes())
    own(place, image, {"tls/server.key": EDGE})
    write(shown, pem.read_bytes())
    shown.chmod(0o444)
    return True


def write(path: Path, content: bytes) -> None:
    """Put the file there anew, readable by its owner alone from its first moment on."""
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o400)
    with os.fdopen(handle, "wb") as file:
        file.write(content)


def own(place: Place, image: str, owners: Mapping[str, int]) -> None:
    """Give the files to the containers' users: by the engine, since whoever may ask it need not be root."""
    lines = "".join(f"{uid} {path}\n" for path, uid in owners.items())
    mount = f"{compose.folder(place)}:/folder"
    words = ["run", "--rm", "--interactive", "--network=none", "--read-only", "--user=0:0", *HANDS, "--volume", mount]
    engine.run(*words, image, "sh", "-euc", OWN, given=lines)
