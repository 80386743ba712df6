"""The command line: `python -m app …`. Works while the server runs; every failure is one sentence on stderr."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from app.keys import create_key, open_keys, prune_keys
from app.lock import StoreLocked
from app.model import Account, Credential, Identity, UserName
from app.names import valid_name
from app.passwords import Passwords, one_time_password
from app.secret_files import check_secrets
from app.settings import Settings, SettingsError, load
from app.store import SchemaMismatch, Store, StoreDown
from app.tokens import Tokens

EX_CONFIG: Final = 78
_TOKEN_SECONDS: Final = 300.0
_LONGEST_TOKEN_SECONDS: Final = 3600.0 + 60.0
"""The longest lifetime and leeway that settings allow: after it no token needs a superseded key."""
_FIRST_ADMINISTRATOR: Final = UserName("admin")


class Unable(Exception):  # noqa: N818 - a command that could not do what it was asked; the message is the sentence
    """The command cannot do what it was asked to; the message is the sentence to show."""


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; its exit status: 0, 1 for a refusal, 2 for a wrong call, 78 for wrong settings or secrets."""
    arguments = _parser().parse_args(words)
    try:
        printed = arguments.run(arguments)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return EX_CONFIG
    except (Unable, SchemaMismatch, StoreDown, StoreLocked) as error:
        print(error, file=sys.stderr)
        return 1
    if printed:
        print(printed)
    return 0


def leave(status: int) -> NoReturn:
    """End the process. What is left is not walked once more before that: it was a quarter of what a command cost."""
    gc.freeze()
    sys.exit(status)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app", description="Portcullis on the command line.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[Any], str], what: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=what, description=what)
        added.set_defaults(run=run)
        return added

    command("check", check, "check settings and secrets; status 78 and one sentence when one is wrong")
    command("migrate", migrate, "bring the database to the schema of this release")
    command("renew", renew, "after a restore: a new epoch, and no session; then `keys rotate --revoke`")
    command("bootstrap", bootstrap, "create the first administrator; prints only the one-time password, or nothing")
    user = command("user", create_user, "create an account; prints only its password")
    user.add_argument("name")
    user.add_argument("--admin", action="store_true", help="may administrate")
    user.add_argument("--one-time", action="store_true", help="the password has to be changed at the first sign-in")
    token = command("token", print_token, "print an access token, valid for at most 300 s")
    token.add_argument("name")
    keys = command("keys", change_keys, "the keys that sign tokens; a running server follows by itself")
    keys.add_argument("verb", choices=("init", "rotate"), help="init: only where there are none; rotate: a new one")
    keys.add_argument("--revoke", action="store_true", help="with rotate: end all tokens of the older keys at once")
    command("openapi", _openapi, "print the OpenAPI document of the HTTP API")
    command("asyncapi", _asyncapi, "print the AsyncAPI document of the socket")
    return parser


def check(_arguments: argparse.Namespace) -> str:
    """Settings and secrets. Keys that `keys init` has still to make are not missing yet. Raises SettingsError."""
    settings = load()
    keys = open_keys(settings) if _has_keys(settings) else None
    Tokens(settings, keys or _NoKeys())
    check_secrets(settings)
    return ""


def migrate(_arguments: argparse.Namespace) -> str:
    """The database of this release. Raises SchemaMismatch, StoreLocked, StoreDown."""
    settings = load()
    Store.migrate(settings.database, settings.database_password_file, settings.database_role)
    return ""


def renew(_arguments: argparse.Namespace) -> str:
    """Nothing that clients remember of the database counts any more. Raises SchemaMismatch, StoreDown."""

    async def act(_settings: Settings, store: Store) -> str:
        await store.renew()
        return ""

    return _with_store(act)


def bootstrap(_arguments: argparse.Namespace) -> str:
    """The first administrator's one-time password; nothing when there is any account."""

    async def act(settings: Settings, store: Store) -> str:
        if await store.accounts_exist():
            return ""
        return await _create(settings, store, _FIRST_ADMINISTRATOR, admin=True, one_time=True)

    return _with_store(act)


def create_user(arguments: argparse.Namespace) -> str:
    """The new account's password. Raises Unable for a name that is not valid or taken."""
    if not valid_name(arguments.name):
        raise Unable("An account's name is 3 to 32 of a-z 0-9 _ . - and does not read as System.")
    name = UserName(arguments.name)
    return _with_store(
        lambda settings, store: _create(settings, store, name, admin=arguments.admin, one_time=arguments.one_time)
    )


def print_token(arguments: argparse.Namespace) -> str:
    """An access token of an account that may connect. Raises Unable."""

    async def act(settings: Settings, store: Store) -> str:
        account = await store.account(UserName(arguments.name))
        if account is None:
            raise Unable(f"There is no account {arguments.name}.")
        if account.disabled:
            raise Unable(f"The account {arguments.name} is disabled.")
        return Tokens(settings, open_keys(settings)).access_token(_identity(settings, account))[0]

    return _with_store(act)


def change_keys(arguments: argparse.Namespace) -> str:
    """`init` or `rotate`. Keys that no living token can need any more are deleted on the way."""
    settings = load()
    if settings.hs256_secret_file is not None:
        raise Unable("PORTCULLIS_HS256_SECRET_FILE signs the tokens: change that file and restart instead.")
    folder = settings.signing_folder
    if arguments.verb == "init" and _pem_files(folder):
        open_keys(settings)
        return ""
    kid = create_key(folder)
    pruned = prune_keys(folder, 0.0 if arguments.revoke else _LONGEST_TOKEN_SECONDS, time.time())
    return "\n".join([f"{kid} signs now", *(f"{old} was deleted" for old in pruned)])


class _NoKeys:
    """Stands for the keys while there are none."""

    def _absent(self, *_: object) -> Any:
        raise SettingsError("There are no signing keys yet: run `python -m app keys init`.")

    signer = find = jwks = _absent


def _has_keys(settings: Settings) -> bool:
    return settings.hs256_secret_file is not None or bool(_pem_files(settings.signing_folder))


def _pem_files(folder: Path) -> list[Path]:
    return list(folder.glob("*.pem"))


def _with_store(act: Callable[[Settings, Store], Awaitable[str]]) -> str:
    async def run() -> str:
        async with _store(settings) as store:
            return await act(settings, store)

    settings = load()
    return asyncio.run(run())


@contextlib.asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[Store]:
    store = Store(settings.database, settings.store_timeout_seconds, password_file=settings.database_password_file)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def _create(settings: Settings, store: Store, name: UserName, *, admin: bool, one_time: bool) -> str:
    password = one_time_password()
    passwords = Passwords(settings)
    try:
        password_hash = await passwords.hash(password)
    finally:
        passwords.close()
    if not await store.create_account(name, password_hash, admin=admin, one_time=one_time):
        raise Unable(f"The account {name} exists already.")
    return password


def _identity(settings: Settings, account: Account) -> Identity:
    return Identity(
        user=account.name,
        credential=Credential.TOKEN,
        expires_at=time.time() + _TOKEN_SECONDS,
        issuer=settings.issuer,
        subject=account.name,
        admin=account.admin,
    )


def _openapi(_: Any) -> str:
    # FastAPI takes longer to import than the other commands take to run.
    from app.routes import api  # noqa: PLC0415

    return _json(api.document())


def _asyncapi(_: Any) -> str:
    from app import asyncapi  # noqa: PLC0415

    return _json(asyncapi.document())


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False)


if __name__ == "__main__":
    leave(main())
