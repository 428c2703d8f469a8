"""`bounces`: takes delivery reports and complaints out of a mailbox."""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from notification_service.cli.configuration import command_settings, service_settings
from notification_service.cli.options import AsJson
from notification_service.cli.terminal import say, say_json
from notification_service.observability import logging


def command(
    maildir: Annotated[Path, typer.Argument(help="A maildir: a folder with new and cur in it.", metavar="MAILDIR")],
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every ten seconds, until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Read the reports in a mailbox, and mark what was read as seen.

    Only a report that holds an envelope sender of ours counts: RETURN_PATH_DOMAIN says where those lead.
    """
    # Imported here: a service without feedback does not need it.
    from notification_service.callbacks import mailbox  # noqa: PLC0415

    if watch:
        try:
            asyncio.run(mailbox.watch(service_settings(), maildir))
        finally:
            logging.finish()
        return
    counts = asyncio.run(mailbox.read(command_settings(), maildir))
    if as_json:
        say_json(asdict(counts))
        return
    say(f"{counts.mails} mails read, {counts.signals} signals stored")
    if counts.untrusted:
        say(f"{counts.untrusted} reports hold no envelope sender of ours, and change nothing")
    if counts.other:
        say(f"{counts.other} mails are no reports")
    if counts.unreadable:
        say(f"{counts.unreadable} files cannot be read: they may be no plain files, or belong to somebody else")
