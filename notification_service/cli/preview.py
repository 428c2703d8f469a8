"""`preview`: the mails of all samples, as files or in a browser, and their SMS and push messages as a page."""

from pathlib import Path
from typing import Annotated

import typer

from notification_service import bootstrap
from notification_service.cli import terminal
from notification_service.cli.configuration import command_settings
from notification_service.cli.options import Languages
from notification_service.cli.terminal import say
from notification_service.foundation.errors import ConfigurationError
from notification_service.preview import proofs
from notification_service.preview.gallery import server as gallery
from notification_service.settings import Settings

_PHONE = "phone.html"


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

    Each mail is written as .html, .txt and .eml; phone.html shows the SMS and push messages in every language.
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
    screens = _write_phone(settings, outdir / _PHONE)
    say(f"{len(written)} mails in {outdir}; open {outdir / 'index.html'}")
    say(f"SMS and push: {screens} lock screens; open {outdir / _PHONE}")


def _write_phone(settings: Settings, path: Path) -> int:
    """Write the page of SMS and push, and return the number of lock screens on it."""
    from notification_service.preview import phone_page  # noqa: PLC0415 - it loads the numbering plans

    screens = phone_page.lock_screens(settings, list(proofs.mailed(settings)))
    path.write_text(phone_page.page(screens, bootstrap.profile(settings).brand.name), "utf-8")
    return len(screens)
