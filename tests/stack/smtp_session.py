"""One SMTP connection: the commands, the envelope, and the faults that a script asks for."""

import base64
import binascii
import contextlib
import re
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.stack.smtp_ledger import JsonLines, message_id_of, now
from tests.stack.smtp_rules import Rule, Script, Stage
from tests.stack.smtp_wire import HangUp, Wire

PATH = re.compile(r"(?:FROM|TO):\s*<(?P<address>[^>]*)>\s*(?P<parameters>.*)", re.IGNORECASE)


@dataclass(kw_only=True)
class Site:
    """What all connections of the server share: its settings, its script, its books."""

    script: Script
    mails: JsonLines
    connections: JsonLines
    context: ssl.SSLContext
    username: str
    password: str
    require_tls: bool
    require_auth: bool
    smtputf8: bool
    chunking: bool
    max_size: int
    keep: Path | None
    counts: Counter[str] = field(default_factory=Counter)
    opened: int = 0
    open: int = 0
    peak_open: int = 0
    accepted: int = 0

    def close(self) -> None:
        self.mails.close()
        self.connections.close()


class Session:
    """The dialogue with one client."""

    def __init__(self, site: Site, wire: Wire, number: int) -> None:
        self._site = site
        self._wire = wire
        self.number = number
        self._greeted = False
        self._user: str | None = None
        self._sender: str | None = None
        self._recipients: list[str] = []
        self.mails = 0

    async def run(self) -> None:
        """Talk until one side ends it."""
        with contextlib.suppress(HangUp, OSError, ssl.SSLError):
            greeted = await self._answer("greeting", "", lambda: "220 localhost ESMTP scripted")
            while greeted:
                verb, _, argument = (await self._wire.line()).partition(" ")
                self._site.counts[verb.lower()] += 1
                await self._obey(verb.upper(), argument.strip())

    async def _obey(self, verb: str, argument: str) -> None:
        commands: dict[str, Callable[[str], Awaitable[None]]] = {
            "EHLO": self._ehlo,
            "HELO": self._ehlo,
            "STARTTLS": self._starttls,
            "AUTH": self._auth,
            "MAIL": self._mail,
            "RCPT": self._rcpt,
            "DATA": self._data,
            "BDAT": self._bdat,
            "RSET": self._rset,
            "NOOP": self._noop,
            "QUIT": self._quit,
        }
        if self._site.require_tls and not self._wire.tls and verb in {"AUTH", "MAIL", "RCPT", "DATA"}:
            await self._send("530 5.7.0 Must issue a STARTTLS command first")
        elif verb in commands:
            await commands[verb](argument)
        else:
            await self._send("500 5.5.2 Command not recognised")

    async def _ehlo(self, argument: str) -> None:
        def greet() -> str:
            self._greeted = True
            self._forget()
            lines = ["localhost", *self._extensions()]
            return "\n".join([*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}"])

        await self._answer("ehlo", argument, greet)

    def _extensions(self) -> list[str]:
        offered = ["PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", f"SIZE {self._site.max_size}"]
        if self._site.smtputf8:
            offered.append("SMTPUTF8")
        if self._site.chunking:
            offered.append("CHUNKING")
        if not self._wire.tls and not self._site.script.strips_starttls():
            offered.append("STARTTLS")
        if self._wire.tls or not self._site.require_tls:
            offered.append("AUTH PLAIN LOGIN")
        return offered

    async def _starttls(self, argument: str) -> None:
        if self._wire.tls or self._site.script.strips_starttls():
            await self._send("502 5.5.1 STARTTLS is not offered here")
        elif await self._answer("starttls", argument, lambda: "220 2.0.0 Go ahead"):
            await self._wire.start_tls(self._site.context)
            self._greeted = False
            self._user = None
            self._forget()

    async def _auth(self, argument: str) -> None:
        mechanism, _, initial = argument.partition(" ")
        try:
            user, password = await self._credentials(mechanism.upper(), initial)
        except (ValueError, binascii.Error):
            await self._send("501 5.5.2 These are no credentials")
            return

        def check() -> str:
            if (user, password) != (self._site.username, self._site.password):
                return "535 5.7.8 Authentication credentials invalid"
            self._user = user
            return "235 2.7.0 Authentication successful"

        await self._answer("auth", f"{mechanism} {user}", check)

    async def _credentials(self, mechanism: str, initial: str) -> tuple[str, str]:
        if mechanism == "PLAIN":
            _, user, password = _decoded(initial or await self._ask("")).split("\0")
            return user, password
        if mechanism == "LOGIN":
            user = _decoded(initial or await self._ask("VXNlcm5hbWU6"))
            return user, _decoded(await self._ask("UGFzc3dvcmQ6"))
        raise ValueError(mechanism)

    async def _ask(self, challenge: str) -> str:
        await self._send(f"334 {challenge}")
        return await self._wire.line()

    async def _mail(self, argument: str) -> None:
        def begin() -> str:
            path = PATH.match(argument)
            refusal = self._refusal_of_sender(path)
            if path and not refusal:
                self._forget()
                self._sender = path["address"]
            return refusal or "250 2.1.0 Sender ok"

        await self._answer("mail", argument, begin)

    def _refusal_of_sender(self, path: re.Match[str] | None) -> str | None:
        if not self._greeted:
            return "503 5.5.1 Say EHLO first"
        if self._site.require_auth and self._user is None:
            return "530 5.7.0 Authentication required"
        if path is None:
            return "501 5.1.7 Bad sender address"
        parameters = path["parameters"].upper().split()
        if not self._site.smtputf8 and ("SMTPUTF8" in parameters or not path["address"].isascii()):
            return "555 5.6.7 SMTPUTF8 is not offered here"
        sizes = [int(size[5:]) for size in parameters if re.fullmatch(r"SIZE=\d+", size)]
        return "552 5.3.4 Message too big" if sizes and sizes[0] > self._site.max_size else None

    async def _rcpt(self, argument: str) -> None:
        def add() -> str:
            path = PATH.match(argument)
            if self._sender is None:
                return "503 5.5.1 Say MAIL first"
            if not path or not path["address"]:
                return "501 5.1.3 Bad recipient address"
            if not self._site.smtputf8 and not path["address"].isascii():
                return "553 5.6.7 A non-ASCII address needs SMTPUTF8"
            self._recipients.append(path["address"])
            return "250 2.1.5 Recipient ok"

        await self._answer("rcpt", argument, add)

    async def _data(self, _: str) -> None:
        if not self._recipients:
            await self._send("503 5.5.1 Say RCPT first")
            return
        recipients = " ".join(self._recipients)
        if await self._answer("data", recipients, lambda: "354 End with <CR><LF>.<CR><LF>"):
            content = await self._wire.content(self._site.max_size)
            await self._answer("dot", recipients, lambda: self._accept(content))
            self._forget()

    async def _bdat(self, argument: str) -> None:
        """One chunk that is the last. It is read whatever comes of it, and answered as the final dot is."""
        size, _, last = argument.partition(" ")
        if not self._site.chunking or not size.isdigit() or last.upper() != "LAST":
            await self._send("500 5.5.2 Command not recognised")
            return
        content = await self._wire.chunk(int(size))
        if not self._recipients:
            await self._send("503 5.5.1 Say RCPT first")
            return
        await self._answer("dot", " ".join(self._recipients), lambda: self._accept(content))
        self._forget()

    async def _accept(self, content: bytes) -> str:
        """Enter the mail into the ledger; only when that is on disk may the client be told."""
        self._site.accepted += 1
        self.mails += 1
        file = self._store(content, self._site.accepted)
        await self._site.mails.append(
            {
                "message_id": message_id_of(content),
                "mail_from": self._sender,
                "rcpt_to": self._recipients,
                "connection": self.number,
                "tls": self._wire.tls,
                "auth": self._user,
                "at": now(),
                "size": len(content),
                "file": file,
            }
        )
        return "250 2.0.0 Ok: queued"

    def _store(self, content: bytes, number: int) -> str | None:
        if self._site.keep is None:
            return None
        path = self._site.keep / f"{number}.eml"
        path.write_bytes(content)
        return str(path)

    async def _rset(self, _: str) -> None:
        self._forget()
        await self._send("250 2.0.0 Ok")

    async def _noop(self, argument: str) -> None:
        await self._answer("noop", argument, lambda: "250 2.0.0 Ok")

    async def _quit(self, _: str) -> None:
        await self._send("221 2.0.0 Bye")
        raise HangUp

    def _forget(self) -> None:
        self._sender = None
        self._recipients = []

    async def _answer(self, at: Stage, argument: str, work: Callable[[], str | Awaitable[str]]) -> bool:
        """Do the work of a command and answer it, in the way that the script says; tell whether it went well."""
        rule = self._site.script.take(at, argument)
        if rule is None:
            reply = await _done(work)
            await self._send(reply)
            return reply.startswith(("2", "3"))
        self._site.counts[f"rule:{at}:{rule.action}"] += 1
        return await self._misbehave(rule, work)

    async def _misbehave(self, rule: Rule, work: Callable[[], str | Awaitable[str]]) -> bool:
        if rule.action == "stall":
            await self._wire.idle(None)
        if rule.action == "drop":
            raise HangUp
        if rule.action in {"reply", "garbage"} and not (rule.reply or "").startswith(("2", "3")):
            await self._refuse(rule)
            return False
        reply = await _done(work)
        if rule.action == "drop_after_accept":
            raise HangUp
        await self._send_oddly(rule, reply)
        return reply.startswith(("2", "3"))

    async def _refuse(self, rule: Rule) -> None:
        if rule.action == "garbage":
            await self._wire.send((rule.reply or "x" * 65536).encode() + b"\r\n")
        else:
            await self._send(rule.reply or "")

    async def _send_oddly(self, rule: Rule, reply: str) -> None:
        match rule.action:
            case "late":
                await self._wire.idle(rule.seconds)
                await self._send(reply)
            case "slow":
                for byte in _encoded(reply):
                    await self._wire.send(bytes([byte]))
                    await self._wire.idle(1 if rule.seconds is None else rule.seconds)
            case "unsolicited":
                await self._wire.send(_encoded(reply) + _encoded(rule.reply or "250 2.0.0 Nobody asked"))
            case _:
                await self._send(rule.reply or reply)

    async def _send(self, reply: str) -> None:
        await self._wire.send(_encoded(reply))
        if reply.startswith("421"):
            raise HangUp


async def _done(work: Callable[[], str | Awaitable[str]]) -> str:
    result = work()
    return result if isinstance(result, str) else await result


def _encoded(reply: str) -> bytes:
    return reply.replace("\n", "\r\n").encode() + b"\r\n"


def _decoded(text: str) -> str:
    return base64.b64decode(text, validate=True).decode()
