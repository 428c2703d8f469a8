"""Every template on every sample, as files to open: html, text, and the whole message."""

import html
from datetime import UTC, datetime
from pathlib import Path

from notification_service import mime, notices, service
from notification_service.commands import samples
from notification_service.notices import Notice
from notification_service.ports import Person
from notification_service.settings import Settings

_JANE = Person("jane.smith@example.com", "Jane", "Smith")


def write(settings: Settings, out: Path) -> list[str]:
    """The names of the samples that were written to `out` as .html, .txt and .eml, with an index.html."""
    renderer, letterhead = service.load_renderer(settings), service.letterhead(settings)
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for sample in samples.load(service.templates_directory(settings), variants=True):
        notice = notices.plan(sample.delivery, largest=settings.service.max_event_bytes)
        if not isinstance(notice, Notice):
            continue
        mail = renderer.render(notice.template, notice.event, _JANE)
        notification_id = notices.notification_id(notice.fact, None, notice.template)
        ids = mime.Ids(notification_id, notice.event_id, notice.template, notice.event.booking_id, datetime.now(UTC))
        envelope = mime.compose(
            mail, _JANE.email or "", letterhead, ids, most_attached=settings.service.max_attachment_bytes
        )
        (out / f"{sample.name}.html").write_text(mail.html, "utf-8")
        (out / f"{sample.name}.txt").write_text(mail.text, "utf-8")
        (out / f"{sample.name}.eml").write_bytes(envelope.content)
        written.append((sample.name, mail.subject))
    (out / "index.html").write_text(_index(written), "utf-8")
    return [name for name, _ in written]


def _index(written: list[tuple[str, str]]) -> str:
    rows = "\n".join(
        f'<li><a href="{name}.html">{html.escape(subject)}</a> '
        f'({html.escape(name)}, <a href="{name}.txt">text</a>, <a href="{name}.eml">message</a>)</li>'
        for name, subject in ((html.escape(name, quote=True), subject) for name, subject in written)
    )
    return f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Mails</title>\n<ul>\n{rows}\n</ul></html>\n'
