"""`suppressions`: the addresses that are not written to any more, with the reason: list, show, add, lift, import."""

import asyncio
import getpass
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from notification_service.cli import terminal
from notification_service.cli.configuration import command_settings
from notification_service.cli.options import AsJson, DryRun, Yes, agreed, text_option
from notification_service.cli.tables import Column
from notification_service.cli.terminal import say, say_item, say_json
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.suppressions import Cause, Evidence
from notification_service.delivery.ports.suppressions import Known, Suppressions
from notification_service.foundation.addresses import NotAnAddressError, mask, read_mailbox
from notification_service.foundation.errors import ConfigurationError
from notification_service.records import database, suppression_list
from notification_service.records.suppression_list import ImportReport, Line, Origin, UnusableListError
from notification_service.settings import Settings

app = typer.Typer(help="Addresses that are not written to: list, show, add, lift, import.", no_args_is_help=True)

T = TypeVar("T")
_PAGE = 500
_MIN_DIGEST_LENGTH = 8

Address = Annotated[str | None, text_option("--address", help="This address, in any spelling.", metavar="ADDRESS")]
Digest = Annotated[
    str | None, text_option("--digest", help="Its digest as `list` shows it; 8 characters do.", metavar="HEX")
]
OfCause = Annotated[Cause | None, typer.Option("--cause", help="Only for this cause.")]
OnChannel = Annotated[ChannelKind, typer.Option("--channel", help="The channel of the address.")]
By = Annotated[str | None, text_option("--by", help="Who wants it; else the user of this shell.", metavar="NAME")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for whoever looks later.", metavar="TEXT")]
_COLUMNS = (
    Column("since (UTC)", optional=True),
    Column("cause"),
    Column("code"),
    Column("told by", min_width=8),
    Column("counts", min_width=20),
    Column("notification", is_id=True, optional=True),
    Column("digest", is_id=True),
)


@app.command("list")
def list_suppressions(
    *,
    cause: OfCause = None,
    everything: Annotated[bool, typer.Option("--all", help="Also what was lifted, or is over.")] = False,
    as_json: AsJson = False,
) -> None:
    """List who is not written to, the newest first. Addresses are kept as digests only."""
    settings = command_settings()
    found = [
        each for each in _with_list(settings, lambda held: _all(held, settings, cause)) if everything or each.standing
    ]
    if as_json:
        say_json({"suppressions": [_fields(each) for each in found]})
        return
    _table(found)
    say(f"{len(found)} suppressions{'' if everything else ' that count now'}")
    if not settings.suppression:
        say(
            "suppression is off (SUPPRESSION, docs/suppression.md): nothing is asked of this list before a mail is sent"
        )


@app.command()
def show(*, address: Address = None, digest: Digest = None, as_json: AsJson = False) -> None:
    """Show all that is known of one address: each signal, and who lifted what. Exit 1 if nothing is."""
    settings = command_settings()
    known = _with_list(settings, lambda held: _found(held, address, digest))
    lines = suppression_list.lines(known, settings.tracking.suppression_time)
    if as_json:
        say_json({"suppressions": [_fields(each) | _history(each) for each in lines]})
    else:
        _say_history(lines)
    if not lines:
        raise typer.Exit(1)


@app.command()
def add(
    *,
    address: Address = None,
    channel: OnChannel = ChannelKind.EMAIL,
    reason: Reason = "",
    by: By = None,
) -> None:
    """Put an address on the list by hand: nothing is sent to it until somebody lifts that."""
    mailbox = _mailbox(address, channel)
    who = by or _user()
    _with_list(command_settings(), lambda held: suppression_list.add(held, channel, mailbox, by=who, reason=reason))
    say(f"{mask(mailbox)} is on the list, by {who}: nothing is sent to it until `suppressions lift`")


@app.command()
def lift(
    *,
    address: Address = None,
    digest: Digest = None,
    cause: OfCause = None,
    reason: Reason = "",
    by: By = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Write to an address again. It is remembered who lifted what, and when.

    Who unsubscribed comes back themselves; only --cause unsubscribed lifts that.
    """
    settings = command_settings()
    known = _with_list(settings, lambda held: _found(held, address, digest))
    found = suppression_list.liftable(suppression_list.lines(known, settings.tracking.suppression_time), cause)
    _table(found)
    who = by or _user()
    if not found:
        say("nothing that counts now is to be lifted")
    elif dry_run:
        say(f"{len(found)} would be lifted by {who}")
    elif agreed(f"Lift {len(found)}?", yes=yes):
        _with_list(settings, lambda held: suppression_list.lift(held, found, by=who, reason=reason))
        say(f"{len(found)} lifted by {who}; what was skipped meanwhile: `bounced list --code suppressed`")


@app.command("import")
def bring_in(
    file: Annotated[Path, typer.Argument(help="CSV whose first line names a column email or address.", metavar="FILE")],
    *,
    cause: Annotated[Cause, typer.Option("--cause", help="What the list is of.")],
    source: Annotated[str, text_option("--from", help="Whose list it is, such as sendgrid.", metavar="NAME")],
    channel: OnChannel = ChannelKind.EMAIL,
) -> None:
    """Put every address of a provider's list on ours.

    Lines that cannot be used are named and left out; exit 1 if there are any. The same file may come again.
    """
    if file.is_file() and file.stat().st_size > suppression_list.MAX_BYTES:
        raise ConfigurationError(f"import: {file} has more than {suppression_list.MAX_BYTES:,} bytes: split it")
    report = _import(command_settings(), file, Origin(channel, cause, source))
    for fault in report.faults:
        say(f"{file.name}, {fault}", err=True)
    if report.unusable > len(report.faults):
        say(f"and {report.unusable - len(report.faults)} more lines that cannot be used", err=True)
    say(f"{report.added} added, {report.known} known already, {report.unusable} left out")
    if report.unusable:
        raise typer.Exit(1)


def _import(settings: Settings, file: Path, origin: Origin) -> ImportReport:
    """Raises `ConfigurationError` where the file cannot be read as a list."""
    try:
        with file.open(encoding="utf-8", newline="") as text:
            return _with_list(settings, lambda held: suppression_list.bring_in(held, text, origin))
    except (OSError, UnicodeDecodeError, UnusableListError) as problem:
        why = problem.strerror if isinstance(problem, OSError) else str(problem)
        raise ConfigurationError(f"import: {file} cannot be used: {why}") from problem


def _with_list(settings: Settings, work: Callable[[Suppressions], Awaitable[T]]) -> T:
    """Raises `DependencyError` if MongoDB does not answer."""

    async def done() -> T:
        async with _opened(settings) as held:
            return await work(held)

    return asyncio.run(done())


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Suppressions]:
    """Raises `ConfigurationError` where addresses have no digests."""
    if not settings.has_digests:
        raise ConfigurationError(
            "suppressions: RECORD_RECIPIENT=masked needs ADDRESS_KEYS: the list holds keyed digests of addresses"
        )
    async with database.opened(settings) as opened:
        yield suppression_list.of(settings, opened)


async def _all(held: Suppressions, settings: Settings, cause: Cause | None) -> list[Line]:
    found: list[Line] = []
    page = await held.page(cause=cause, limit=_PAGE)
    while True:
        lines = suppression_list.lines(page.addresses, settings.tracking.suppression_time)
        found += [each for each in lines if cause in (None, each.entry.cause)]
        if page.following is None:
            return found
        page = await held.page(cause=cause, before=page.following, limit=_PAGE)


async def _found(held: Suppressions, address: str | None, digest: str | None) -> Sequence[Known]:
    """Raises `ConfigurationError` for neither or both, or a digest that is too short or names several."""
    if (address is None) == (digest is None):
        raise ConfigurationError("suppressions: say whose, by --address or by --digest")
    if address is not None:
        return [await held.known(kind, address) for kind in ChannelKind]
    begin = (digest or "").rstrip("….").casefold()
    if len(begin) < _MIN_DIGEST_LENGTH:
        raise ConfigurationError(f"--digest: at least {_MIN_DIGEST_LENGTH} characters")
    found = await held.beginning_with(begin, 2)
    if len({each.digest for each in found}) > 1:
        raise ConfigurationError(f"--digest: several begin with {begin}: give more of it")
    return found


def _mailbox(address: str | None, channel: ChannelKind) -> str:
    """Raises `ConfigurationError`."""
    if address is None:
        raise ConfigurationError("suppressions add: say whose, by --address")
    if channel is not ChannelKind.EMAIL:
        return address.strip()
    try:
        return read_mailbox(address)
    except NotAnAddressError as problem:
        raise ConfigurationError(f"suppressions add: --address is no mail address: {problem}") from problem


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "a terminal"


def _table(lines: Sequence[Line]) -> None:
    if lines:
        terminal.table(_COLUMNS, [_cells(each) for each in lines])


def _cells(line: Line) -> tuple[object, ...]:
    entry, latest = line.entry, line.latest
    since = f"{latest.at:%Y-%m-%d %H:%M}" if latest else ""
    told = (latest.code or "", latest.source, line.state) if latest else ("", "", line.state)
    return since, entry.cause, *told, (latest and latest.notification_id) or "", entry.digest


def _fields(line: Line) -> dict[str, object]:
    entry, latest, standing = line.entry, line.latest, line.standing
    return {
        "channel": entry.channel,
        "digest": entry.digest,
        "cause": entry.cause,
        "counts": standing is not None,
        "until": standing.until.isoformat() if standing and standing.until else None,
        "latest": _evidence(latest) if latest else None,
    }


def _history(line: Line) -> dict[str, object]:
    lifts = [{"at": each.at.isoformat(), "by": each.by, "reason": each.reason} for each in line.entry.lifts]
    return {"signals": [_evidence(each) for each in line.entry.evidence], "lifts": lifts}


def _evidence(each: Evidence) -> dict[str, object]:
    return {
        "at": each.at.isoformat(),
        "source": each.source,
        "code": each.code,
        "detail": each.detail,
        "notification_id": each.notification_id,
    }


def _say_history(lines: Sequence[Line]) -> None:
    if not lines:
        say("nothing is known of it: mails go there")
    for line in lines:
        say(f"{line.entry.channel} {line.entry.digest}: {line.entry.cause}, {line.state}")
        signals = [(each.at, "signal", _words(each)) for each in line.entry.evidence]
        lifts = [
            (each.at, "lifted", f"by {each.by}{': ' if each.reason else ''}{each.reason}") for each in line.entry.lifts
        ]
        for at, what, said in sorted(signals + lifts):
            say_item(f"  {at:%Y-%m-%d %H:%M:%S} {what}", said)


def _words(each: Evidence) -> str:
    about = f"notification {each.notification_id}" if each.notification_id else ""
    return " · ".join(filter(None, (each.source, each.code, each.detail, about)))
