"""The command line: the commands by name, and one line and an exit code for each error. Each command is a module."""

import os
import sys
import traceback
from contextlib import suppress
from typing import Any, NoReturn

import typer

from notification_service.cli import (
    bounced,
    bounces,
    callbacks,
    clicks,
    demo,
    doctor,
    erase,
    experiment,
    find,
    healthcheck,
    parked,
    preview,
    reconcile,
    retention,
    run,
    schema,
    send_test,
    smtp_login,
    suppressions,
    template,
    terminal,
    version,
)
from notification_service.cli.terminal import say, say_in_lines
from notification_service.foundation.errors import (
    EXIT_CONFIGURATION,
    EXIT_OUTPUT,
    EXIT_UNAVAILABLE,
    ConfigurationError,
    DependencyError,
)
from notification_service.foundation.secret_redaction import Secrecy
from notification_service.observability import streams
from notification_service.observability.streams import UnwritableError
from notification_service.settings import load

app = typer.Typer(
    help=(
        "Turns booking and payment events into e-mails.\n\n"
        "Settings come from the environment or from .env; .env.example explains each. "
        "Try demo first, which needs no server, then doctor, then run.\n\n"
        "Exit codes: 0 done, 1 something was found or refused, 2 wrong usage, 69 a server does not "
        "answer, 74 the output cannot be written, 78 a setting, an option or a template is wrong."
    ),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

app.command("run")(run.command)
app.command("demo")(demo.command)
app.command("preview")(preview.command)
app.command("send-test")(send_test.command)
app.command("smtp-login")(smtp_login.command)
app.command("doctor")(doctor.command)
app.command("find")(find.command)
app.add_typer(parked.app, name="parked")
app.add_typer(bounced.app, name="bounced")
app.command("bounces")(bounces.command)
app.command("callbacks")(callbacks.command)
app.add_typer(suppressions.app, name="suppressions")
app.command("clicks")(clicks.command)
app.command("reconcile")(reconcile.command)
app.command("retention")(retention.command)
app.command("erase")(erase.command)
app.add_typer(template.app, name="template")
app.add_typer(experiment.app, name="experiment")
app.add_typer(schema.app, name="schema")
app.command("healthcheck")(healthcheck.command)
app.command("version")(version.command)


def main() -> None:
    """Run a command. An error that an operator can fix ends with one line and its own exit code."""
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
    except* Exception as problem:  # noqa: BLE001 - a library's message may repeat a password, so Python does not print it
        sys.stdout.flush()
        say_in_lines(_hidden("".join(traceback.format_exception(problem))), err=True)
        sys.stderr.flush()
        os._exit(1)


def _run_app() -> None:
    """Arguments and exceptions may hold anything: they are printed by `terminal` alone, not by typer."""
    try:
        code = app(standalone_mode=False)
    except typer.Abort:
        say("Aborted: nothing was changed.", err=True)
        sys.exit(1)
    except OSError as problem:
        if not problem.filename:
            raise
        raise ConfigurationError(f"{os.fspath(problem.filename)} cannot be used: {problem.strerror}") from problem
    except Exception as problem:
        # typer does not export these classes, and they have moved between packages.
        if not hasattr(problem, "format_message"):
            raise
        _refuse(problem)
    sys.exit(code if isinstance(code, int) else 0)


def _refuse(problem: Any) -> NoReturn:  # noqa: ANN401 - as above
    """The command line cannot be read. Where no command is named, typer has printed the help already."""
    if type(problem).__name__ != "NoArgsIsHelpError":
        command = problem.ctx.command_path if problem.ctx else "notification-service"
        told = " ".join(problem.format_message().split()).replace("Value error, ", "")
        say(f"{command}: {told.rstrip('.')}; see {command} --help", err=True)
    sys.exit(problem.exit_code)


def _hidden(text: str) -> str:
    """The text without secrets. Errors of unreadable settings contain no values, so nothing has to be hidden then."""
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
