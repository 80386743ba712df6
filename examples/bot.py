"""Answers `!ping` in the lobby: `python examples/bot.py https://localhost:8443 NAME PASSWORD-FILE CA-FILE`."""

import asyncio, pathlib, ssl, sys  # noqa: E401, I001

from client import Client, Message, SignIn


async def main(url: str, name: str, password: str, ca: str) -> None:
    credential = SignIn(name, lambda: pathlib.Path(password).read_text().strip())
    async with Client(url, credential, tls=ssl.create_default_context(cafile=ca)) as client:
        lobby = await client.join("lobby")
        async for event in client:
            if isinstance(event, Message) and event.message == "!ping" and event.sender != name:
                await lobby.post(f"pong, {event.sender}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
