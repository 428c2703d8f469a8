"""docs/operations.md says whose fault a reply is: a server says each at each step, and the channel agrees."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, get_args

import pytest

from notification_service.delivery.ports.channel import Accepted, Blocked, Deferred, Refused, Tried, Unavailable
from tests.integration.test_smtp_channel import arrived, channel_to, mail, send
from tests.stack.smtp import SmtpServer
from tests.stack.smtp_rules import Rule, Stage

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
ROW = re.compile(
    r"^\| (?P<at>[a-z, ]+) \| `(?P<reply>\d{3} [^`]+)` \| (?P<whose>the \w+) \| (?P<what>[^|]+) \| (?P<mend>[^|]+) \|$"
)
VERDICTS: dict[str, type[Tried]] = {
    "the channel": Unavailable,
    "the account": Blocked,
    "the session": Accepted,
    "the moment": Deferred,
    "the message": Refused,
}


class Row(NamedTuple):
    at: Stage
    reply: str
    whose: str
    what: str
    mend: str


def rows() -> Iterator[Row]:
    for line in OPERATIONS.read_text("utf-8").splitlines():
        if row := ROW.match(line):
            for at in row["at"].split(", "):
                yield Row(at, row["reply"], row["whose"], row["what"], row["mend"])  # type: ignore[arg-type]  # checked below


TABLE = list(rows())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmtpServer]:
    with SmtpServer(tmp_path_factory.mktemp("smtp"), fsync=False) as running:
        yield running


def test_the_table_is_read_whole() -> None:
    lines = [line for line in OPERATIONS.read_text("utf-8").splitlines() if re.match(r"\| [a-z, ]+ \| `\d{3}", line)]
    assert len({(reply, mend) for _, reply, _, _, mend in TABLE}) <= len(lines) == sum(map(bool, map(ROW.match, lines)))
    assert {whose for _, _, whose, _, _ in TABLE} == set(VERDICTS)
    assert {at for at, *_ in TABLE} == set(get_args(Stage)) - {"noop"}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.at} {row.reply[:40]}")
async def test_a_reply_is_blamed_as_the_table_says(server: SmtpServer, row: Row) -> None:
    at, reply, whose, what, mend = row
    server.clear()
    envelope = mail()
    async with channel_to(server) as (channel, pool):
        if whose == "the session":
            await send(channel)
        # A client may try a second mechanism, or HELO: those are refused as well.
        server.script([Rule(at=at, reply=reply, times=1 if whose == "the session" else None)])
        verdict = await send(channel, envelope)
        assert isinstance(verdict, VERDICTS[whose])
        assert pool.counts.opened == (
            2 if whose == "the session" else at not in ("greeting", "ehlo", "starttls", "auth")
        )
        if isinstance(verdict, Blocked | Unavailable):
            assert all(name in verdict.hint for name in re.findall("`([^`]+)`", mend))
        if isinstance(verdict, Deferred):
            assert verdict.wait == (86400 if "24 hours" in what else None)
        server.clear()
        # What was refused stops nobody behind it.
        assert isinstance(await send(channel), Accepted)
    assert arrived(server, envelope) == (whose == "the session")
