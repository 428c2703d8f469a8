"""A token endpoint: gives tokens as RFC 6749 says, keeps count, and misbehaves on request."""

import asyncio
import itertools
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

Form = dict[str, str]


@dataclass(frozen=True)
class Answer:
    """`after`: seconds before it is given. A body that is no text is sent as JSON. None as status: hang up."""

    status: int | None
    body: Any = ""
    after: float = 0.0
    headers: tuple[str, ...] = ()


def refusal(error: str, description: str = "", status: int = 400) -> Answer:
    return Answer(status, {"error": error, "error_description": description})


DEVICE = {
    "device_code": "canary-device-code",
    "user_code": "ABCD-1234",
    "verification_uri": "https://login.example/device",
    "interval": 0.01,
    "expires_in": 900,
}
HANGS = Answer(200, after=3600)


@dataclass
class TokenEndpoint:
    """`script`: answers that are given first. `gives`: fields that differ in an ordinary answer (None: left out).

    `valid`: refresh tokens that it takes. With `rotates` each is replaced when it is used, and taken no more.
    """

    port: int = 0
    asked: list[Form] = field(default_factory=list)
    script: deque[Answer] = field(default_factory=deque)
    gives: dict[str, Any] = field(default_factory=dict)
    valid: set[str] = field(default_factory=set)
    rotates: bool = True
    strict: bool = False
    latest: str = ""
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/cinema/oauth2/v2.0/token"

    def answer(self, form: Form) -> Answer:
        self.asked.append(form)
        if self.script:
            return self.script.popleft()
        if "grant_type" not in form:
            return Answer(200, DEVICE)
        given: dict[str, Any] = {}
        if form["grant_type"].endswith("device_code"):
            given["refresh_token"] = f"refresh-{next(self._numbers)}"
        if form["grant_type"] == "refresh_token":
            if form["refresh_token"] not in self.valid:
                return refusal("invalid_grant", "AADSTS70008: The refresh token has expired due to inactivity.")
            if self.rotates:
                given["refresh_token"] = f"refresh-{next(self._numbers)}-{'r' * 40}"
                self.valid.add(given["refresh_token"])
                if self.strict:
                    self.valid.discard(form["refresh_token"])
        # Secrets are long and have characters that other writings change.
        self.latest = f"ya29.{next(self._numbers)}-aB_c~/+{'xyz' * 20}=="
        given |= {"access_token": self.latest, "token_type": "Bearer", "expires_in": 3600, **self.gives}
        return Answer(200, {name: value for name, value in given.items() if value is not None})


@asynccontextmanager
async def running() -> AsyncIterator[TokenEndpoint]:
    endpoint = TokenEndpoint()
    server = await asyncio.start_server(_served(endpoint), "127.0.0.1", 0)
    endpoint.port = server.sockets[0].getsockname()[1]
    async with server:
        yield endpoint
        server.close()


def _served(endpoint: TokenEndpoint) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            answer = endpoint.answer(await _form(reader))
            # Whoever gives up waiting hangs up, and then nobody is to be answered.
            gone = asyncio.create_task(reader.read())
            await asyncio.wait([gone], timeout=answer.after)
            if answer.status is not None and not gone.done():
                writer.write(_written(answer))
                await writer.drain()
            gone.cancel()
        writer.close()

    return serve


async def _form(reader: asyncio.StreamReader) -> Form:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = next(int(line.split(":")[1]) for line in head.splitlines() if line.startswith("content-length:"))
    assert head.startswith(("post /cinema/oauth2/v2.0/token ", "post /cinema/oauth2/v2.0/devicecode "))
    assert "content-type: application/x-www-form-urlencoded" in head
    return dict(parse_qsl((await reader.readexactly(length)).decode(), strict_parsing=True))


def _written(answer: Answer) -> bytes:
    body = (answer.body if isinstance(answer.body, str) else json.dumps(answer.body)).encode()
    head = [f"HTTP/1.1 {answer.status} Said", f"Content-Length: {len(body)}", "Connection: close", *answer.headers]
    return "\r\n".join([*head, "", ""]).encode() + body
