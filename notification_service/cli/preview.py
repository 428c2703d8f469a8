"""`preview`: the mails of all samples, as files or in a browser."""

from pathlib import Path
from typing import Annotated

import typer

from notification_service.cli import terminal
from notification_service.cli.configuration import command_settings
from notification_service.cli.options import Languages
from notification_service.cli.terminal import say
from notification_service.foundation.errors import ConfigurationError
from notification_service.preview import proofs
from notification_service.preview.gallery import server as gallery


def command(
    outdir: Annotated[Path | None, typer.Argument(help="A folder for the files; open its index.html.")] = None,
    *,
    language: Languages = None,
    all_languages: Annotated[bool, typer.Option("--all-languages", help="In all languages.")] = False,
    serve: Annotated[bool, typer.Option("--serve", help="Show them in a browser, and reload after each save.")] = False,
    host: Annotated[str, typer.Option(help="Address for --serve.", metavar="HOST")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Address for --serve.", min=1, max=65535, metavar="PORT")] = 8090,
) -> None:
    """Render every sample as files, or in a browser with --serve.

    Each mail is written as .html, .txt and .eml.
    """
    settings = command_settings()
    if serve:
        gallery.serve(settings, host, port, lambda url: say(f"The mails are at {url} until Ctrl-C"))
        return
    if outdir is None:
        raise ConfigurationError("preview: name a folder for the files, or --serve to see them in a browser")
    with terminal.progress("Rendering") as bar:
        written = proofs.write(
            settings,
            outdir,
            languages=language or (),
            every_language=all_languages,
            on_proof=lambda total: bar.advance(total=total),
        )
    say(f"{len(written)} mails in {outdir}; open {outdir / 'index.html'}")
