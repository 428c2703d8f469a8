"""Subject, text and html of a notice, from the folders under `templates/`."""

import re
import textwrap
from collections.abc import Mapping
from dataclasses import replace
from datetime import tzinfo
from typing import Any

from jinja2 import Template
from markupsafe import Markup

from notification_service.channels.email import attachments
from notification_service.channels.email.mail import PARTS, Attachment, Mail, MailTemplate
from notification_service.channels.email.ticket.qr import QrCode
from notification_service.content import catalogues, decline_reasons, formatting, links
from notification_service.content.branding import Brand
from notification_service.content.event_text import _before, _isolated, _isolated_text, _readable
from notification_service.content.formatting import cut
from notification_service.content.localization import Localization
from notification_service.content.profile import SenderProfile
from notification_service.content.templates import SHARED
from notification_service.contract.amounts import Amount
from notification_service.contract.events import BookingCancelled, BookingConfirmed, Event, PaymentFailed
from notification_service.contract.remarks import Remark
from notification_service.contract.showtimes import parse_showtime
from notification_service.delivery.ports.composer import CompositionError
from notification_service.delivery.ports.directory import Recipient

_TEXT_WIDTH = 78
_MAX_SUBJECT_LENGTH = 60
"""Characters that a phone shows (M4 of what makes a mail good)."""
_SHORTEST_TITLE = 12
_TURNS = dict.fromkeys((0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)))
"""Marks of direction, which no header keeps."""

_CODE, _CALENDAR, _LOGO = "ticket.png", "booking.ics", "logo.png"


class Renderer:
    """Renders each notice from templates that were compiled once. Build it with `load`."""

    def __init__(self, templates: Mapping[str, Mapping[str, MailTemplate]], profile: SenderProfile) -> None:
        self._templates = templates
        self._house = profile
        self._brands: dict[str, Brand] = {}

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(self._templates)

    def digest(self, template: str) -> str:
        return self._templates[catalogues.SOURCE][template].digest

    def zone(self, event: Event) -> tzinfo | None:
        """The time zone in which the event's mail speaks, where one is known."""
        return self._house.defaults.for_event(event).zone

    def render(
        self,
        template: str,
        event: Event,
        person: Recipient,
        language: str | None = None,
        *,
        most_attached: int | None = None,
    ) -> Mail:
        """`language`: one of `languages`, whatever event and person ask for, for previews.

        `most_attached`: the bytes that all files may have together; what does not fit is left out with a remark.

        Raises `CompositionError` with file and line where the template is at fault.
        """
        style = self._style(event, person, language)
        parts = self._templates[style.language][template]
        try:
            return self._render(parts, event, person, style, most_attached)
        except Exception as problem:  # a template may call anything that its values offer
            raise CompositionError(_where(problem, template), str(problem)) from problem

    def _style(self, event: Event, person: Recipient, language: str | None) -> Localization:
        style = self._house.defaults.for_event(event, person.locale)
        if language is None:
            return style
        locale = catalogues.locale_of(language)
        return replace(style, language=language, locale=style.locale if style.language == language else locale)

    def _render(
        self, parts: MailTemplate, event: Event, person: Recipient, style: Localization, most_attached: int | None
    ) -> Mail:
        event = _readable(event)
        context, refused = self._context(event, person, style)
        code = attachments.ticket_code(event)
        files, left_out = _fitting(self._files(parts, event, style, code), most_attached)
        ridden = {file.filename for file in files}
        context |= {
            "subject": _subject(parts.subject, event, context),
            "event": _isolated(event, style),
            "brand": context["brand"] if _LOGO in ridden else replace(context["brand"], logo=None),
            "code": code if _CODE in ridden else None,
            "calendar": _CALENDAR in ridden,
            "words": parts.words,
        }
        text = tidy_text(parts.text.render(context))
        html = parts.html.render(context)
        remarks = [*refused, *self._unspoken(event, person, style), *_unread(event, style), *left_out]
        return Mail(context["subject"], text, html, tuple(files), tuple(remarks))

    def _context(self, event: Event, person: Recipient, style: Localization) -> tuple[dict[str, Any], list[Remark]]:
        profile = self._house
        cinema = profile.defaults.cinema(event)
        found, refused = links.for_event(event, profile.ways)
        found = replace(found, site=profile.brand.site_url, map=cinema.map_url)
        machine_readable = attachments.json_ld(event, style, person, cinema, found.booking)
        failed = event if isinstance(event, PaymentFailed) else None
        context = {
            "person": replace(person, first_name=_isolated_text(person.first_name, style)),
            "brand": self._brand(style),
            "links": found,
            "style": style,
            "before": _before(event, style),
            "cinema": replace(cinema, address=_isolated_text(cinema.address, style)),
            "terms": profile.terms,
            "reason": decline_reasons.reason(failed) if failed else None,
            "may_quote": decline_reasons.may_quote(failed) if failed else False,
            "nothing_charged": decline_reasons.nothing_charged(failed) if failed else False,
            # It was made safe to stand in a script.
            "json_ld": Markup(machine_readable) if machine_readable else None,  # noqa: S704 - as said above
        }
        return context, refused

    def _brand(self, style: Localization) -> Brand:
        """As it reads in a mail of that direction."""
        if style.dir not in self._brands:
            name, address = formatting.isolated(self._house.brand.name, style), self._house.brand.address
            self._brands[style.dir] = replace(self._house.brand, name=name, address=_isolated_text(address, style))
        return self._brands[style.dir]

    def _files(self, parts: MailTemplate, event: Event, style: Localization, code: QrCode | None) -> list[Attachment]:
        """What rides along, what is needed least last: images, then what is no part of the text."""
        logo = self._house.brand.logo
        return [
            *([Attachment(_CODE, "image/png", code.png, attachments.QR_ID)] if code else []),
            *self._attached(parts, event, style),
            *([Attachment(_LOGO, "image/png", logo.png, logo.content_id)] if logo else []),
        ]

    def _attached(self, parts: MailTemplate, event: Event, style: Localization) -> list[Attachment]:
        profile = self._house
        if not isinstance(event, BookingConfirmed | BookingCancelled):
            return []
        content = attachments.calendar_file(
            event,
            style,
            profile.brand,
            profile.defaults.cinema(event),
            summary=_one_line(parts.words.calendar_summary(event.movie_title, profile.brand)),
            alarm=_one_line(parts.words.calendar_alarm(event.movie_title, profile.brand)),
            minutes=profile.terms.show_minutes,
        )
        method = "CANCEL" if isinstance(event, BookingCancelled) else "PUBLISH"
        return [Attachment(_CALENDAR, f"text/calendar; method={method}; charset=utf-8", content)] if content else []

    def _unspoken(self, event: Event, person: Recipient, style: Localization) -> list[Remark]:
        asked = event.locale or person.locale
        if asked and catalogues.choose([asked], self._house.defaults.spoken) is None:
            return [Remark("locale", f"{asked[:40]!r} is spoken by nobody here: written in {style.locale}")]
        return []


def _fitting(files: list[Attachment], most: int | None) -> tuple[list[Attachment], list[Remark]]:
    """Those that fit beside the ones before them, and a remark for each that does not."""
    if most is None or sum([len(file.content) for file in files]) <= most:
        return files, []
    fitting: list[Attachment] = []
    remarks = []
    for file in files:
        if sum(len(one.content) for one in fitting) + len(file.content) <= most:
            fitting.append(file)
        else:
            said = f"go without {file.filename}: it has {len(file.content)} bytes, and MAX_ATTACHMENT_BYTES={most}"
            remarks.append(Remark("attachments", said))
    return fitting, remarks


def _unread(event: Event, style: Localization) -> list[Remark]:
    """What is shown as it was sent, and why. What it holds is not repeated."""
    remarks = [
        Remark(name, "is shown as it was sent: it can be read in two ways, or in none")
        for name, value in event.__dict__.items()
        if type(value) is Amount and style.currency and formatting.priced(value, style) is None
    ]
    if style.currency is None:
        remarks.append(Remark("currency", "is shown as it was sent: it is no currency, or could be several"))
    if event.time_zone is not None and style.zone is None:
        remarks.append(Remark("time_zone", "is no zone: the showtime is shown without one"))
    showtime = getattr(event, "showtime", None)
    if showtime and parse_showtime(showtime, style.zone) is None:
        remarks.append(Remark("showtime", "is shown as it was sent: it names no moment, or could name two"))
    return remarks


def _subject(template: Template, event: Event, context: Mapping[str, Any]) -> str:
    """As long as a phone shows it: what is too much is taken from the title."""
    title = getattr(event, "movie_title", None) or ""
    subject = _one_line(template.render({**context, "event": event}))
    if len(subject) > _MAX_SUBJECT_LENGTH and title:
        shorter = cut(title, max(_SHORTEST_TITLE, len(title) - (len(subject) - _MAX_SUBJECT_LENGTH)))
        subject = _one_line(template.render({**context, "event": event.model_copy(update={"movie_title": shorter})}))
    return subject


def _one_line(text: str) -> str:
    return " ".join(text.translate(_TURNS).split())


def _where(problem: Exception, template: str) -> str:
    """The innermost template line in a traceback: Jinja2 rewrites its frames to the template's own lines."""
    where, frame = template, problem.__traceback__
    while frame is not None:
        filename = frame.tb_frame.f_code.co_filename
        if filename.endswith(PARTS) or f"/{SHARED}/" in filename:
            where = f"{filename}:{frame.tb_lineno}"
        frame = frame.tb_next
    return where


def tidy_text(text: str) -> str:
    """Wrapped at 78 columns with links left whole, and never two blank lines in a row (RFC 5322 §2.1.1)."""
    wrapped = "\n".join(_wrap(line.rstrip()) for line in text.strip().splitlines())
    return re.sub(r"\n{3,}", "\n\n", wrapped) + "\n"


def _wrap(line: str) -> str:
    if len(line) <= _TEXT_WIDTH:
        return line
    return textwrap.fill(line, _TEXT_WIDTH, break_long_words="://" not in line, break_on_hyphens=False)
