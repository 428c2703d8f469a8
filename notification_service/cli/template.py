"""`template`: commands for authors of the mails."""

import typer

from notification_service import bootstrap
from notification_service.cli import terminal
from notification_service.cli.configuration import command_settings
from notification_service.cli.options import AsJson, Languages
from notification_service.cli.terminal import say, say_json
from notification_service.preview import checks

app = typer.Typer(help="Check the templates, and extract their sentences.", no_args_is_help=True)


@app.command()
def check(language: Languages = None, *, as_json: AsJson = False) -> None:
    """Check every sample in every language, and the catalogues.

    Exit 1 if anything is wrong.
    """
    settings = command_settings()
    with terminal.progress("Checking") as bar:
        report = checks.run(settings, language or (), on_mail=lambda total: bar.advance(total=total))
    if as_json:
        say_json(checks.as_json(report))
    else:
        for name, finding in report.found:
            say(f"{name}: {finding}")
        say(report)
    if report.found:
        raise typer.Exit(1)


@app.command()
def extract() -> None:
    """Bring the catalogues up to date with the templates.

    New sentences are added, old ones are removed, and what is left to translate is counted.
    """
    for line in checks.extract(bootstrap.templates_directory(command_settings())):
        say(line)
