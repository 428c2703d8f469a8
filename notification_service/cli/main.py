"""The command line. Each command is a few lines; what it does lives in `commands/` and `service`."""

import asyncio
import os
import sys
import traceback
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from notification_service import __version__, bootstrap, service
from notification_service.broker import parking
from notification_service.broker.parking import ParkedEvent, ParkedFilter, chosen
from notification_service.cli import (
    bounced as bounced_command,
    demo as demo_command,
    doctor as doctor_command,
    find as find_command,
    parked as parked_command,
    reconcile as reconcile_command,
    schema as schema_command,
    terminal,
)
from notification_service.cli.find import Address, After, Booking, NotificationOption, Outcomes, Since, Term, Until
from notification_service.cli.options import AsJson, Channel, DryRun, Yes, agreed
from notification_service.cli.parked import Event, EventType, Older, Reason
from notification_service.cli.send_test import send
from notification_service.cli.smtp_login import sign_in
from notification_service.cli.terminal import say, say_document, say_in_lines, say_json, say_marked
from notification_service.console import app as console
from notification_service.contract.rules import TEMPLATES
from notification_service.foundation.addresses import NotAnAddressError, read_mailbox
from notification_service.foundation.errors import (
    EXIT_CONFIGURATION,
    EXIT_OUTPUT,
    EXIT_UNAVAILABLE,
    ConfigurationError,
    DependencyError,
    EventRefusedError,
)
from notification_service.foundation.redaction import Secrecy
from notification_service.observability import liveness, logging, streams
from notification_service.observability.streams import LogOutput, UnwritableError
from notification_service.preview import checks as check_command, proofs as preview_command
from notification_service.preview.gallery import server as gallery
from notification_service.records import audit, erasure as keeping_command
from notification_service.records.reconciliation import stored_body
from notification_service.settings import Settings, load

_DRY = ": a dry run, nothing was changed"

app = typer.Typer(
    help=(
        "Turns booking and payment events into e-mails.\n\n"
        "Settings come from the environment or from .env; .env.example explains each. "
        "Try [bold]demo[/bold] first (it needs no server), then [bold]doctor[/bold], then [bold]run[/bold].\n\n"
        "Exit codes: 0 done, 78 a setting or template is wrong, 69 a dependency never came up, 74 the output cannot be "
        "written."
    ),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


parked = typer.Typer(help="What waits for a person: list, show, replay, discard.", no_args_is_help=True)
app.add_typer(parked, name="parked")

bounced = typer.Typer(help="What a mail server refused, or no queue takes: list, replay.", no_args_is_help=True)
app.add_typer(bounced, name="bounced")

schema = typer.Typer(help="The contract as documents: asyncapi, log, record.", no_args_is_help=True)
app.add_typer(schema, name="schema")

template = typer.Typer(
    help="For whoever writes the mails: check, extract. See also [bold]preview[/bold].", no_args_is_help=True
)
app.add_typer(template, name="template")


@app.command()
def run() -> None:
    """Consume events and send mail until SIGTERM or Ctrl-C, which drains; a second one ends at once."""
    settings = _settings()
    try:
        asyncio.run(service.run(settings, console.serving))
    finally:
        logging.finish()


@app.command()
def demo(
    outbox: Annotated[Path, typer.Option(help="Where the .eml files are put.")] = Path("outbox"),
) -> None:
    """Show the pipeline at work on the sample events, in memory: no broker, no store, no mail server."""
    demo_command.run(_settings(quiet=True), outbox)


Languages = Annotated[
    list[str] | None, typer.Option("--language", help="In this language; may be given more than once.")
]


@app.command()
def preview(
    outdir: Annotated[Path | None, typer.Argument(help="A folder for the files; open its index.html.")] = None,
    *,
    language: Languages = None,
    all_languages: Annotated[bool, typer.Option("--all-languages", help="In every language that we speak.")] = False,
    serve: Annotated[
        bool, typer.Option("--serve", help="Show them in a browser instead, and follow each save.")
    ] = False,
    host: Annotated[str, typer.Option(help="Where --serve listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Where --serve listens.", min=1, max=65535)] = 8090,
) -> None:
    """Render every template on every sample, as .html, .txt and .eml files, or in a browser with --serve."""
    settings = _settings(quiet=True)
    if serve:
        gallery.serve(settings, host, port, lambda url: say(f"The mails are at {url} until Ctrl-C"))
        return
    if outdir is None:
        raise ConfigurationError("preview: name a folder for the files, or --serve to see them in a browser")
    written = preview_command.write(settings, outdir, languages=language or (), every_language=all_languages)
    say(f"{len(written)} mails in {outdir}; open {outdir / 'index.html'}")


@app.command("send-test")
def send_test(
    to: Annotated[str, typer.Option(help="Who gets it.")],
    template: Annotated[str, typer.Option(help=f"One of {', '.join(TEMPLATES)}, or all.")] = "booking_confirmation",
) -> None:
    """Send a sample mail for real, and say what the server answered."""
    if template not in ("all", *TEMPLATES):
        raise ConfigurationError(f"--template {template!r} is none; there are all, {', '.join(TEMPLATES)}")
    try:
        address = read_mailbox(to)
    except NotAnAddressError as problem:
        raise ConfigurationError(f"send-test: --to is no mail address: {problem}") from problem
    if not asyncio.run(_send_test(_settings(quiet=True), address, template)):
        raise typer.Exit(1)


@app.command("smtp-login")
def smtp_login() -> None:
    """Sign in at Microsoft, and print the setting SMTP_OAUTH_REFRESH_TOKEN, which is a secret, on standard output."""
    token = asyncio.run(sign_in(_settings(quiet=True), lambda text: say(text, err=True)))
    say(f"SMTP_OAUTH_REFRESH_TOKEN={token}")


async def _send_test(settings: Settings, to: str, template: str) -> bool:
    accepted = [(name, taken, said) async for name, taken, said in send(settings, to, template)]
    for name, taken, said in accepted:
        say(f"{'sent    ' if taken else 'NOT SENT'} {name}: {said}")
    return all(taken for _, taken, _ in accepted)


@app.command()
def doctor(*, as_json: AsJson = False) -> None:
    """Check every setting and every dependency, and say what to do about what is wrong."""
    found = asyncio.run(_doctor(_settings(quiet=True), silent=as_json))
    if as_json:
        say_json({"findings": [asdict(each) for each in found]})
    if not all(each.ok for each in found):
        raise typer.Exit(EXIT_UNAVAILABLE)


async def _doctor(settings: Settings, *, silent: bool) -> list[doctor_command.CheckResult]:
    found = []
    async for finding in doctor_command.examine(settings):
        found.append(finding)
        if not silent:
            mark, colour = ("ok   ", "green") if finding.ok else ("WRONG", "red")
            say_marked(mark, colour, f"{finding.what}: {finding.detail}")
    return found


@app.command()
def find(
    term: Term = None,
    *,
    booking: Booking = None,
    event: find_command.Event = None,
    notification: NotificationOption = None,
    address: Address = None,
    channel: Channel = None,
    outcome: Outcomes = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(help="Rows of a page.", min=1, max=1000)] = 50,
    after: After = None,
    addresses: Annotated[bool, typer.Option("--addresses", help="Show addresses in full.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Find notifications, the newest first; of one that is found alone, everything that happened to it."""
    which = find_command.wanted(
        term=term,
        booking=booking,
        event=event,
        notification=notification,
        address=address,
        channel=channel,
        outcomes=outcome or (),
        since=since,
        until=until,
    )
    page, alone = asyncio.run(find_command.look(_settings(quiet=True), which, limit, find_command.place(after)))
    if as_json:
        say_json(find_command.as_json(page, alone, addresses=addresses), default=find_command.written)
    elif alone:
        find_command.story(alone, addresses=addresses)
    else:
        find_command.table(page, addresses=addresses)


@parked.command("list")
def parked_list(
    event: Event = None,
    reason: Reason = None,
    event_type: EventType = None,
    older_than: Older = None,
    channel: Channel = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List what waits for a person, and why."""
    found = _parking(parking.look, chosen(event, reason, event_type, older_than, channel))
    if as_json:
        say_json(parked_command.as_json(found))
        return
    parked_command.table(found)
    say(f"{len(found)} parked")


@parked.command("show")
def parked_show(event: Annotated[str, typer.Argument(help="The event id.")], *, as_json: AsJson = False) -> None:
    """Show one parked event in full: why it is here, and its body."""
    found = _parking(parking.look, chosen(event, None, None, None))
    if not found:
        raise ConfigurationError(f"no event {event!r} is parked; `parked list` shows those that are")
    if as_json:
        say_json(parked_command.as_json(found, whole=True))
        return
    for each in found:
        parked_command.details(each)


@parked.command("replay")
def parked_replay(
    event: Event = None,
    reason: Reason = None,
    event_type: EventType = None,
    older_than: Older = None,
    channel: Channel = None,
    *,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Send parked events through the ordinary way again. What was sent already is not sent twice."""
    wanted = chosen(event, reason, event_type, older_than, channel)
    refused: list[EventRefusedError] = []
    act = partial(parking.replay, refused_one=refused.append)
    _move_parked(act, wanted, "Replay", "on their way again", dry_run=dry_run, yes=yes, as_json=as_json)
    _end_with(refused)


@parked.command("discard")
def parked_discard(
    event: Event = None,
    reason: Reason = None,
    event_type: EventType = None,
    older_than: Older = None,
    channel: Channel = None,
    *,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Throw parked events away. Their records stay. At least one condition has to be given."""
    if not any(each is not None for each in (event, reason, event_type, older_than, channel)):
        raise ConfigurationError("parked discard: say which, by --event, --reason, --type, --older-than or --channel")
    wanted, ending = chosen(event, reason, event_type, older_than, channel), "thrown away; their records stay"
    _move_parked(parking.discard, wanted, "Discard", ending, dry_run=dry_run, yes=yes, as_json=as_json)


@bounced.command("list")
def bounced_list(
    *,
    notification: bounced_command.NotificationOption = None,
    event: bounced_command.Event = None,
    code: bounced_command.Code = None,
    fingerprint: bounced_command.Fingerprint = None,
    since: bounced_command.Since = None,
    template_name: bounced_command.Template = None,
    domain: bounced_command.Domain = None,
    as_json: AsJson = False,
) -> None:
    """List what bounced, and what could be parked in no queue, with why and the fingerprint of a server's words."""
    wanted = bounced_command.chosen(
        notification=notification,
        event=event,
        code=code,
        fingerprint=fingerprint,
        since=since,
        template=template_name,
        domain=domain,
    )
    found = asyncio.run(bounced_command.look(_settings(quiet=True), wanted))
    if as_json:
        say_json(bounced_command.as_json(found))
        return
    bounced_command.table(found)
    say(f"{len(found)} bounced")


@bounced.command("replay")
def bounced_replay(
    *,
    notification: bounced_command.NotificationOption = None,
    event: bounced_command.Event = None,
    code: bounced_command.Code = None,
    fingerprint: bounced_command.Fingerprint = None,
    since: bounced_command.Since = None,
    template_name: bounced_command.Template = None,
    domain: bounced_command.Domain = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Publish events again from their records: what bounced, and what could be parked in no queue (--code unmovable).

    At least one condition has to be given. By --notification or --event, whatever waits for a person is found.
    """
    wanted = bounced_command.chosen(
        notification=notification,
        event=event,
        code=code,
        fingerprint=fingerprint,
        since=since,
        template=template_name,
        domain=domain,
    )
    if not wanted.narrow:
        raise ConfigurationError(
            "bounced replay: say which, by --notification, --event, --code, --fingerprint, --since, --template or "
            "--domain"
        )
    settings = _settings(quiet=True)
    found = asyncio.run(bounced_command.look(settings, wanted))
    moved = [each for each in found if stored_body(each)]
    refused: list[EventRefusedError] = []
    if not as_json:
        bounced_command.table(found)
    if not dry_run:
        agree = bool(moved) and agreed(f"Replay {len(moved)} of them?", yes=yes)
        with terminal.progress("Replay", len(moved)) as moved_one:
            publish = partial(bounced_command.replay, settings, moved, moved_one, refused.append)
            moved = asyncio.run(publish()) if agree else []
    if as_json:
        say_json(bounced_command.as_json(moved, dry_run=dry_run, found=len(found)))
        _end_with(refused)
        return
    say(f"{len(moved)} {'would be ' if dry_run else ''}on their way again")
    if lacking := sum(stored_body(each) is None for each in found):
        say(f"{lacking} are not kept in full: the booking system has to publish them again")
    _end_with(refused)


def _end_with(refused: Sequence[EventRefusedError]) -> None:
    """Say what the broker did not take, on standard error; the others are on their way."""
    for problem in refused:
        say(problem, err=True)
    if refused:
        raise typer.Exit(1)


Parking = Callable[..., Coroutine[None, None, list[ParkedEvent]]]


def _move_parked(
    act: Parking, wanted: ParkedFilter, what: str, ending: str, *, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Look first, say how many, ask, then move them."""
    moved = _parking(parking.look, wanted)
    if not as_json:
        parked_command.table(moved)
    if not dry_run:
        agree = bool(moved) and agreed(f"{what} {len(moved)} events?", yes=yes)
        with terminal.progress(what, len(moved)) as moved_one:
            moved = _parking(act, wanted, moved_one=moved_one) if agree else []
    if as_json:
        say_json(parked_command.as_json(moved, dry_run=dry_run))
    else:
        say(f"{len(moved)} {'would be ' if dry_run else ''}{ending}")


def _parking(act: Parking, wanted: ParkedFilter, **facts: Callable[[ParkedEvent], None]) -> list[ParkedEvent]:
    settings = _settings(quiet=True)
    url, max_bytes = settings.rabbitmq.url.get_secret_value(), settings.service.max_event_bytes
    return asyncio.run(act(url, wanted, max_bytes=max_bytes, **facts))


@template.command("check")
def template_check(language: Languages = None, *, as_json: AsJson = False) -> None:
    """Say what is wrong with each sample in each language, and with the catalogues. Exit 1 if anything."""
    report = check_command.run(_settings(quiet=True), language or ())
    if as_json:
        say_json(check_command.as_json(report))
    else:
        for name, finding in report.found:
            say(f"{name}: {finding}")
        say(report)
    if report.found:
        raise typer.Exit(1)


@template.command("extract")
def template_extract() -> None:
    """Put new sentences of the templates into the catalogues, take old ones out, and count what is to translate."""
    for line in check_command.extract(bootstrap.templates_directory(_settings(quiet=True))):
        say(line)


@app.command()
def reconcile(
    events: Annotated[
        Path | None, typer.Option(help="What was published: a line each, an event id or the event.")
    ] = None,
    *,
    repair: Annotated[bool, typer.Option("--repair", help="Publish again what stands still.")] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Balance the books: find what stands still, what contradicts itself, what never arrived. Exit 1 if anything.

    Without --repair it changes nothing.
    """
    settings = _settings(quiet=True)
    report = asyncio.run(audit.examine(settings, events=events))
    question = f"Publish {report.repairable} events again, as far as their records keep them in full?"
    if repair and report.repairable and not dry_run and agreed(question, yes=yes):
        report = asyncio.run(audit.examine(settings, events=events, repair=True))
    if as_json:
        say_json(reconcile_command.as_json(report))
    else:
        reconcile_command.show(report)
    if not report.balanced:
        raise typer.Exit(1)


@app.command()
def retention(*, dry_run: DryRun = False, yes: Yes = False, as_json: AsJson = False) -> None:
    """Do now what the service does each hour: old records lose what they say of a person, older ones go."""
    settings = _settings(quiet=True)
    swept = asyncio.run(keeping_command.sweep(settings, dry=True))
    question = f"Take the person out of {swept.stripped} records, and remove {swept.removed}?"
    if done := not dry_run and agreed(question, yes=yes):
        swept = asyncio.run(keeping_command.sweep(settings, dry=False))
    if as_json:
        say_json(asdict(swept) | {"dry_run": not done})
    else:
        say(f"{swept.stripped} records without their person, {swept.removed} removed{'' if done else _DRY}")
        if swept.left:
            say(f"{swept.left} cannot be changed or dated, and stay as they are: the log names some")


@app.command()
def erase(
    address: Annotated[str, typer.Option(help="Whose records are to say nothing of them any more.")],
    *,
    discard_parked: Annotated[
        bool, typer.Option("--discard-parked", help="Throw the parked events away too that name it.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Change nothing: read everything, and say what still names it.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Take a person out of every record. What was sent is not sent again, and what waits is not sent at all.

    Exit 1 where something is left that names the address.
    """
    settings = _settings(quiet=True)
    if verify:
        _verify(settings, address, as_json=as_json)
        return
    erased = asyncio.run(keeping_command.erase(settings, address, dry=True))
    discarded = len(erased.parked) if discard_parked else 0
    question = (
        f"Erase {erased.records} records of {erased.address}, and remove {len(erased.outbox)} kept mails and "
        f"{discarded} parked events?"
    )
    nothing = not (erased.records or erased.outbox or discarded)
    if done := not dry_run and (nothing or agreed(question, yes=yes)):
        erased = asyncio.run(keeping_command.erase(settings, address, dry=False, discard_parked=discard_parked))
    if as_json:
        say_json(asdict(erased) | {"dry_run": not done})
    else:
        for sentence in erased.sentences(dry=not done, delay=max(settings.service.retry_rungs)):
            say(sentence)
    if done and not erased.whole:
        raise typer.Exit(1)


def _verify(settings: Settings, address: str, *, as_json: bool) -> None:
    traces = asyncio.run(keeping_command.verify(settings, address))
    if as_json:
        say_json(asdict(traces) | {"traces": traces.count})
    else:
        for sentence in traces.sentences():
            say(sentence)
    if traces.count:
        raise typer.Exit(1)


@app.command()
def healthcheck() -> None:
    """Ask the running service whether it is alive: exit 0 or 1. For a container that has no curl."""
    try:
        liveness.ask(_settings(quiet=True).service.port)
    except liveness.NotAliveError as problem:
        say(problem, err=True)
        raise typer.Exit(1) from problem


@schema.command("asyncapi")
def schema_asyncapi() -> None:
    """Print what is consumed and published, as an AsyncAPI 3 document in JSON."""
    say_json(schema_command.asyncapi(), indent=2)


@schema.command("log")
def schema_log() -> None:
    """Print the JSON Schema of a log line."""
    say_document(schema_command.log_line())


@schema.command("record")
def schema_record() -> None:
    """Print the JSON Schema of a record, its dates as ISO 8601."""
    say_document(schema_command.record())


@app.command()
def version() -> None:
    """Print the version."""
    say(__version__)


def _settings(*, quiet: bool = False) -> Settings:
    """Read the settings and set the logging up. `quiet`: the command itself says what is wrong, nobody else."""
    settings = load()
    logging.configure(
        level="CRITICAL" if quiet else settings.service.log_level,
        style=settings.service.log_format,
        secrets=settings.secrets(),
        stream=sys.stderr if quiet else LogOutput(sys.stdout.fileno()),
    )
    return settings


def main() -> None:
    """The entry point: one line and the right exit code for what an operator can mend."""
    streams.check()
    terminal.prepare()
    try:
        try:
            _run_app()
        finally:
            sys.stdout.flush()
    except* ConfigurationError as problem:
        _end(EXIT_CONFIGURATION, problem)
    except* DependencyError as problem:
        _end(EXIT_UNAVAILABLE, problem)
    except* UnwritableError as problem:
        _end(EXIT_OUTPUT, problem)
    except* Exception as problem:  # noqa: BLE001 - a library's own words may repeat a password, so Python does not print them
        sys.stdout.flush()
        say_in_lines(_hidden("".join(traceback.format_exception(problem))), err=True)
        sys.stderr.flush()
        os._exit(1)


def _run_app() -> None:
    """What an argument or an exception says is printed by nobody but `terminal`."""
    try:
        code = app(standalone_mode=False)
    except typer.Abort:
        say("Aborted: nothing was changed.", err=True)
        sys.exit(1)
    except Exception as problem:
        # Its own classes are typer's secret: they have been those of two packages.
        if not hasattr(problem, "format_message"):
            raise
        _refuse(problem)
    sys.exit(code if isinstance(code, int) else 0)


def _refuse(problem: Any) -> NoReturn:  # noqa: ANN401 - as above
    """The command line cannot be read. Where no command is named, typer has printed the help already."""
    if type(problem).__name__ != "NoArgsIsHelpError":
        if problem.ctx:
            say(f"Usage: {problem.ctx.command_path} --help says what there is", err=True)
        say(f"Error: {problem.format_message()}", err=True)
    sys.exit(problem.exit_code)


def _hidden(text: str) -> str:
    """Without secrets; where the settings cannot be read there are none to hide, and their faults name no values."""
    try:
        return Secrecy(load(links=False).secrets()).text(text)
    except ConfigurationError:
        return text


def _end(code: int, problem: BaseExceptionGroup[Exception]) -> None:
    first: BaseException = problem
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    if not (isinstance(first, UnwritableError) and first.quiet):
        with suppress(UnwritableError):
            say(f"notification-service: {_hidden(str(first))}", err=True)
            sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
