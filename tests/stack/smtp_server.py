"""A scripted SMTP server: keeps a ledger of what it accepted, and misbehaves on request.

Its ledger, `mails.jsonl`, has one line for each accepted mail, on disk before the 250 is sent. The control port
takes one JSON object a line: {"do": "script", "rules": [...]}, {"do": "stats"}, {"do": "clear"}.
"""

import argparse
import asyncio
import contextlib
import json
import signal
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

from tests.stack.certificates import Certificate, server_context
from tests.stack.smtp_ledger import JsonLines, now
from tests.stack.smtp_rules import Rule, Script
from tests.stack.smtp_session import Session, Site
from tests.stack.smtp_wire import Wire

BACKLOG = 1024


class Server:
    """The SMTP port and the control port over one site."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._tasks: set[asyncio.Task[object]] = set()

    async def serve(self, *, host: str, port: int, control_port: int, implicit_tls: bool) -> None:
        """Serve both ports until SIGTERM or SIGINT, then hang up on everybody."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        context = self._site.context if implicit_tls else None
        mail = await asyncio.start_server(self._converse, host, port, ssl=context, backlog=BACKLOG)
        control = await asyncio.start_server(self._control, "127.0.0.1", control_port)
        async with mail, control:
            await ended.wait()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        self._site.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(reader, writer)
        self._site.opened += 1
        session = Session(self._site, wire, self._site.opened)
        with self._open_connection():
            await self._note("open", session)
            try:
                await session.run()
            finally:
                await self._note("close", session)
                await wire.close()

    async def _note(self, event: str, session: Session) -> None:
        line = {"event": event, "connection": session.number, "at": now(), "mails": session.mails}
        await self._site.connections.append(line)

    async def _control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self._ended_with_the_server(), contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                writer.write(json.dumps(self._command(line)).encode() + b"\n")
                await writer.drain()
            writer.close()

    def _command(self, line: bytes) -> dict[str, object]:
        try:
            order = json.loads(line)
            match order["do"]:
                case "script":
                    self._site.script.replace([Rule.read(fields) for fields in order["rules"]])
                case "clear":
                    self._site.script.replace([])
                case "stats":
                    return self._stats()
                case unknown:
                    return {"error": f"no such command: {unknown!r}"}
        except (ValueError, TypeError, KeyError) as error:
            return {"error": repr(error)}
        return {"ok": True}

    def _stats(self) -> dict[str, object]:
        site = self._site
        return {
            "connections": site.opened,
            "open": site.open,
            "peak_open": site.peak_open,
            "mails": site.accepted,
            "counts": dict(site.counts),
        }

    @contextlib.contextmanager
    def _open_connection(self) -> Iterator[None]:
        self._site.open += 1
        self._site.peak_open = max(self._site.peak_open, self._site.open)
        try:
            with self._ended_with_the_server():
                yield
        finally:
            self._site.open -= 1

    @contextlib.contextmanager
    def _ended_with_the_server(self) -> Iterator[None]:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            yield
        except asyncio.CancelledError:
            # asyncio's streams report a cancelled callback as an error; the server's end is none.
            pass
        finally:
            self._tasks.discard(task)


def arguments(line: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=2525)
    add("--control-port", type=int, default=2526)
    add("--folder", type=Path, required=True, help="for mails.jsonl, connections.jsonl and the authority")
    add("--keep", type=Path, metavar="DIR", help="store each accepted mail as DIR/<n>.eml")
    add("--no-fsync", action="store_true", help="for benchmarks: write the ledger, but do not wait for the disk")
    add("--ca-file", type=Path, help="the authority to trust, written here (FOLDER/ca.pem)")
    add("--certificate", choices=get_args(Certificate), default="good")
    add("--implicit-tls", action="store_true", help="speak TLS from the first byte (port 465)")
    add("--require-tls", action="store_true", help="refuse mail before STARTTLS")
    add("--require-auth", action="store_true", help="refuse mail before AUTH")
    add("--smtputf8", action="store_true", help="offer SMTPUTF8")
    add("--username", default="mailer")
    add("--password", default="secret")
    add("--max-size", type=int, default=32 * 1024 * 1024)
    return parser.parse_args(line)


def site(options: argparse.Namespace, context: ssl.SSLContext) -> Site:
    """Open the log files in the folder; numbers continue where an earlier run ended."""
    mails = JsonLines(options.folder / "mails.jsonl", sync=not options.no_fsync)
    connections = JsonLines(options.folder / "connections.jsonl", sync=False)
    return Site(
        script=Script(),
        mails=mails,
        connections=connections,
        context=context,
        username=options.username,
        password=options.password,
        require_tls=options.require_tls,
        require_auth=options.require_auth,
        smtputf8=options.smtputf8,
        max_size=options.max_size,
        keep=options.keep,
        opened=connections.lines,  # at least as many as there were connections: numbers never repeat
        accepted=mails.lines,
    )


def main() -> None:
    options = arguments()
    for folder in filter(None, (options.folder, options.keep)):
        folder.mkdir(parents=True, exist_ok=True)
    context = server_context(options.ca_file or options.folder / "ca.pem", options.certificate)
    server = Server(site(options, context))
    ports = {"host": options.host, "port": options.port, "control_port": options.control_port}
    asyncio.run(server.serve(**ports, implicit_tls=options.implicit_tls))


if __name__ == "__main__":
    main()
