"""The scripted SMTP server as a part of the stack, with its books and its script at hand."""

import json
import os
import socket
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Literal

from tests.stack.certificates import Certificate
from tests.stack.processes import Part, PartFailedError, free_port
from tests.stack.smtp_rules import Rule

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Mail:
    """One line of the ledger: a mail that the server accepted, whether or not the client learned of it."""

    message_id: str | None
    mail_from: str
    rcpt_to: list[str]
    connection: int
    tls: bool
    auth: str | None
    at: str
    size: int
    file: str | None

    def message(self) -> EmailMessage:
        """Return the mail, parsed; the server must have been told to keep it."""
        return message_from_bytes(self.message_bytes(), policy=policy.default)

    def message_bytes(self) -> bytes:
        if self.file is None:
            raise PartFailedError("this SMTP server does not keep its mails")
        return Path(self.file).read_bytes()


@dataclass(frozen=True)
class ConnectionNote:
    """One line about a connection: that it was opened, or closed after so many mails."""

    event: Literal["open", "close"]
    connection: int
    at: str
    mails: int


@dataclass(frozen=True)
class Stats:
    """What the server counted since it started; `counts` has the commands, and `rule:<at>:<action>`."""

    connections: int
    open: int
    peak_open: int
    mails: int
    counts: dict[str, int]


class SmtpServer(Part):
    """The server; its options may be changed between a stop and a start."""

    name = "smtp"
    host = "localhost"

    def __init__(
        self,
        folder: Path,
        *,
        certificate: Certificate = "good",
        implicit_tls: bool = False,
        require_tls: bool = True,
        require_auth: bool = True,
        smtputf8: bool = False,
        chunking: bool = False,
        keep: bool = True,
        fsync: bool = True,
        username: str = "mailer",
        password: str = "secret",
    ) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.control_port = free_port()
        self.certificate = certificate
        self.username = username
        self.password = password
        self.keep = keep
        self.switches = {
            "--implicit-tls": implicit_tls,
            "--require-tls": require_tls,
            "--require-auth": require_auth,
            "--smtputf8": smtputf8,
            "--chunking": chunking,
            "--no-fsync": not fsync,
        }

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.pem"

    def command(self) -> Sequence[str]:
        options = {
            "--port": self.port,
            "--control-port": self.control_port,
            "--folder": self.folder,
            "--certificate": self.certificate,
            "--username": self.username,
            "--password": self.password,
        }
        if self.keep:
            options["--keep"] = self.folder / "mails"
        pairs = (str(word) for option in options.items() for word in option)
        switches = (switch for switch, on in self.switches.items() if on)
        return (sys.executable, "-m", "tests.stack.smtp_server", *pairs, *switches)

    def environment(self) -> Mapping[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT)}

    def answers(self) -> bool:
        self.stats()
        return True

    def mails(self) -> list[Mail]:
        """Return the ledger: every mail accepted so far, over restarts too."""
        return [Mail(**line) for line in _lines(self.folder / "mails.jsonl")]

    def messages(self) -> list[EmailMessage]:
        """Return the accepted mails themselves, parsed, in the ledger's order."""
        return [mail.message() for mail in self.mails()]

    def connections(self) -> list[ConnectionNote]:
        return [ConnectionNote(**line) for line in _lines(self.folder / "connections.jsonl")]

    def script(self, rules: Iterable[Rule]) -> None:
        """Put these rules in place of those in force."""
        self._order(do="script", rules=[rule.fields() for rule in rules])

    def clear(self) -> None:
        """Behave well again."""
        self._order(do="clear")

    def stats(self) -> Stats:
        answer = self._order(do="stats")
        return Stats(**{field.name: answer[field.name] for field in fields(Stats)})

    def _order(self, **words: object) -> dict[str, Any]:
        return order(self.control_port, **words)


def order(port: int, **words: object) -> dict[str, Any]:
    """Send one line to the control port of a running server. Raises `PartFailedError` and `OSError`."""
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(json.dumps(words).encode() + b"\n")
        with connection.makefile("rb") as replies:
            answer: dict[str, Any] = json.loads(replies.readline())
    if "error" in answer:
        raise PartFailedError(f"the SMTP server refused {words}: {answer['error']}")
    return answer


def _lines(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a file; one that is being written, or was torn by a kill, is none yet."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
