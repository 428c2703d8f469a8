"""Subject, text and html of a notice, from the folders under `templates/`."""

import hashlib
import json
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from pathlib import Path
from typing import Any, TypeVar

import jinja2
from jinja2 import Environment, Template
from markupsafe import Markup

from notification_service import enclosures, languages, links, reasons, templating, wording
from notification_service.amounts import Amount
from notification_service.branding import Brand
from notification_service.events import (
    EVENT_TYPES,
    BookingCancelled,
    BookingConfirmed,
    Event,
    PaymentFailed,
    Shown,
    parse,
)
from notification_service.notices import RULES, TEMPLATES
from notification_service.outcomes import ConfigurationError
from notification_service.ports import Person
from notification_service.remarks import Remark
from notification_service.templating import SHARED
from notification_service.ticket.qr import QrCode
from notification_service.wording import Style, cut

SAMPLES = "_samples"
PARTS = ("subject.txt", "body.txt", "body.html")
_WORDS = f"{SHARED}/words.txt"
_TEXT_WIDTH = 78
_LONGEST_TEXT = 500
_LONGEST_SUBJECT = 60
"""Characters that a phone shows (M4 of what makes a mail good)."""
_SHORTEST_TITLE = 12
_TURNS = dict.fromkeys((0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)))
"""Marks of direction, which no header keeps."""

_ADDRESSES = ("retry_url", "user_email")
_CODE, _CALENDAR, _LOGO = "ticket.png", "booking.ics", "logo.png"

_READ_BY_FILTERS = {"event_type", "showtime", "payment_method", "currency", "locale", "time_zone"}


Said = TypeVar("Said", Event, Shown)


class TemplateFaultError(Exception):
    """A template cannot be rendered; `where` is its `file:line`."""

    def __init__(self, where: str, detail: str) -> None:
        super().__init__(f"{where}: {detail}")
        self.where = where


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that rides along, or an image that the html shows as `cid:<content_id>`."""

    filename: str
    media_type: str
    content: bytes = field(repr=False)
    content_id: str | None = None


@dataclass(frozen=True, slots=True)
class Mail:
    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)
    attachments: tuple[Attachment, ...] = ()
    remarks: tuple[Remark, ...] = ()
    """What an operator should know of it: a link that was left out, a language that nobody speaks."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the house promises; nothing that is not known is said.

    `refund_days`: business days such as `5-10` by payment method, and under `default`. `show_minutes`: how long a
    show is taken to last in a calendar. `arrive_minutes`: how long before the show to come.
    """

    refund_days: Mapping[str, str] = field(default_factory=dict)
    show_minutes: int = 150
    arrive_minutes: int | None = None

    def days(self, method: str | None) -> str | None:
        found = self.refund_days.get((method or "").casefold()) or self.refund_days.get("default")
        return found.replace("-", "\u2013") if found else None


@dataclass(frozen=True, slots=True)
class MailTemplate:
    """The three parts of one e-mail, compiled. `digest` names their content, shared parts included."""

    name: str
    digest: str
    subject: Template
    text: Template
    html: Template
    words: "Words"


class Words:
    """The sentences that html and text share, as functions that return plain text, which html has to escape.

    A macro that html imports from a text template would count as safe there, whatever stands in its values.
    """

    def __init__(self, module: object) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Callable[..., str]:
        macro = getattr(self._module, name)
        return lambda *values: str(macro(*values))


@dataclass(frozen=True, slots=True)
class House:
    """Everything about whoever writes that is the same in every mail."""

    brand: Brand
    defaults: wording.Defaults = field(default_factory=wording.Defaults)
    ways: links.Ways = field(default_factory=links.Ways)
    terms: Terms = field(default_factory=Terms)


class Renderer:
    """Renders each notice from templates that were compiled once. Build it with `load`."""

    def __init__(self, templates: Mapping[str, Mapping[str, MailTemplate]], house: House) -> None:
        self._templates = templates
        self._house = house
        self._brands: dict[str, Brand] = {}

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(self._templates)

    def digest(self, template: str) -> str:
        return self._templates[languages.SOURCE][template].digest

    def zone(self, event: Event) -> tzinfo | None:
        """The time zone in which the event's mail speaks, where one is known."""
        return self._house.defaults.for_event(event).zone

    def render(
        self,
        template: str,
        event: Event,
        person: Person,
        language: str | None = None,
        *,
        most_attached: int | None = None,
    ) -> Mail:
        """`language`: one of `languages`, whatever event and person ask for, for previews.

        `most_attached`: the bytes that all files may have together; what does not fit is left out with a remark.

        Raises `TemplateFaultError` with file and line where the template is at fault.
        """
        style = self._style(event, person, language)
        parts = self._templates[style.language][template]
        try:
            return self._render(parts, event, person, style, most_attached)
        except Exception as problem:  # a template may call anything that its values offer
            raise TemplateFaultError(_where(problem, template), str(problem)) from problem

    def _style(self, event: Event, person: Person, language: str | None) -> Style:
        style = self._house.defaults.for_event(event, person.locale)
        if language is None:
            return style
        locale = languages.locale_of(language)
        return replace(style, language=language, locale=style.locale if style.language == language else locale)

    def _render(
        self, parts: MailTemplate, event: Event, person: Person, style: Style, most_attached: int | None
    ) -> Mail:
        event = _readable(event)
        context, refused = self._context(event, person, style)
        code = enclosures.ticket_code(event)
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

    def _context(self, event: Event, person: Person, style: Style) -> tuple[dict[str, Any], list[Remark]]:
        house = self._house
        cinema = house.defaults.cinema(event)
        found, refused = links.for_event(event, house.ways)
        found = replace(found, site=house.brand.site_url, map=cinema.map_url)
        machine_readable = enclosures.json_ld(event, style, person, cinema, found.booking)
        failed = event if isinstance(event, PaymentFailed) else None
        context = {
            "person": replace(person, first_name=_isolated_text(person.first_name, style)),
            "brand": self._brand(style),
            "links": found,
            "style": style,
            "before": _before(event, style),
            "cinema": replace(cinema, address=_isolated_text(cinema.address, style)),
            "terms": house.terms,
            "reason": reasons.reason(failed) if failed else None,
            "may_quote": reasons.may_quote(failed) if failed else False,
            "nothing_charged": reasons.nothing_charged(failed) if failed else False,
            # It was made safe to stand in a script.
            "json_ld": Markup(machine_readable) if machine_readable else None,  # noqa: S704 - as said above
        }
        return context, refused

    def _brand(self, style: Style) -> Brand:
        """As it reads in a mail of that direction."""
        if style.dir not in self._brands:
            name, address = wording.isolated(self._house.brand.name, style), self._house.brand.address
            self._brands[style.dir] = replace(self._house.brand, name=name, address=_isolated_text(address, style))
        return self._brands[style.dir]

    def _files(self, parts: MailTemplate, event: Event, style: Style, code: QrCode | None) -> list[Attachment]:
        """What rides along, what is needed least last: images, then what is no part of the text."""
        logo = self._house.brand.logo
        return [
            *([Attachment(_CODE, "image/png", code.png, enclosures.QR_ID)] if code else []),
            *self._attached(parts, event, style),
            *([Attachment(_LOGO, "image/png", logo.png, logo.content_id)] if logo else []),
        ]

    def _attached(self, parts: MailTemplate, event: Event, style: Style) -> list[Attachment]:
        house = self._house
        if not isinstance(event, BookingConfirmed | BookingCancelled):
            return []
        content = enclosures.calendar_file(
            event,
            style,
            house.brand,
            house.defaults.cinema(event),
            summary=_one_line(parts.words.calendar_summary(event.movie_title, house.brand)),
            alarm=_one_line(parts.words.calendar_alarm(event.movie_title, house.brand)),
            minutes=house.terms.show_minutes,
        )
        method = "CANCEL" if isinstance(event, BookingCancelled) else "PUBLISH"
        return [Attachment(_CALENDAR, f"text/calendar; method={method}; charset=utf-8", content)] if content else []

    def _unspoken(self, event: Event, person: Person, style: Style) -> list[Remark]:
        asked = event.locale or person.locale
        if asked and languages.choose([asked], self._house.defaults.spoken) is None:
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


def _unread(event: Event, style: Style) -> list[Remark]:
    """What is shown as it was sent, and why. What it holds is not repeated."""
    remarks = [
        Remark(name, "is shown as it was sent: it can be read in two ways, or in none")
        for name, value in event.__dict__.items()
        if type(value) is Amount and style.currency and wording.priced(value, style) is None
    ]
    if style.currency is None:
        remarks.append(Remark("currency", "is shown as it was sent: it is no currency, or could be several"))
    if event.time_zone is not None and style.zone is None:
        remarks.append(Remark("time_zone", "is no zone: the showtime is shown without one"))
    showtime = getattr(event, "showtime", None)
    if showtime and wording.parse_showtime(showtime, style.zone) is None:
        remarks.append(Remark("showtime", "is shown as it was sent: it names no moment, or could name two"))
    return remarks


def _subject(template: Template, event: Event, context: Mapping[str, Any]) -> str:
    """As long as a phone shows it: what is too much is taken from the title."""
    title = getattr(event, "movie_title", None) or ""
    subject = _one_line(template.render({**context, "event": event}))
    if len(subject) > _LONGEST_SUBJECT and title:
        shorter = cut(title, max(_SHORTEST_TITLE, len(title) - (len(subject) - _LONGEST_SUBJECT)))
        subject = _one_line(template.render({**context, "event": event.model_copy(update={"movie_title": shorter})}))
    return subject


def _one_line(text: str) -> str:
    return " ".join(text.translate(_TURNS).split())


def _before(event: Event, style: Style) -> Shown | None:
    """What an earlier mail said of the show, and is no longer so."""
    before = event.changed_from if isinstance(event, BookingConfirmed) else None
    return _isolated(_readable(before), style) if before else None


def _readable(event: Said) -> Said:
    """The event with its texts as a person would read them: none is so long that the mail is clipped, none turns it."""
    texts: dict[str, Any] = {name: shown for name, text in event if (shown := _shown(name, text)) != text}
    seats = getattr(event, "seats", ())
    if any(_shown("seats", seat) != seat for seat in seats):
        texts["seats"] = tuple(shown for seat in seats if (shown := _shown("seats", seat)))
    return event.model_copy(update=texts) if texts else event


def _shown(name: str, value: object) -> object:
    if not isinstance(value, str) or (len(value) <= _LONGEST_TEXT and value.isascii()):
        return value
    # An address is judged as it was sent, not as it would be without what is wrong with it.
    return cut(value if name in _ADDRESSES else wording.calm(value), _LONGEST_TEXT).strip() or None


def _isolated_text(text: str | None, style: Style) -> str | None:
    return wording.isolated(text, style) if text else None


def _isolated(event: Said, style: Style) -> Said:
    """Its texts so that none turns the sentence around it (UAX 9)."""
    texts = {
        name: wording.isolated(value, style)
        for name, value in event
        if isinstance(value, str) and name not in _READ_BY_FILTERS and wording.may_turn(value, style)
    }
    return event.model_copy(update=texts) if texts else event


def load(directory: Path, house: House) -> Renderer:
    """Compile every template and render each once. Raises `ConfigurationError` that names file and line."""
    catalogues = languages.load(directory)
    spoken = [language for language in catalogues if language != languages.PSEUDO]
    if languages.choose([house.defaults.locale], spoken) is None:
        raise ConfigurationError(
            f"DEFAULT_LOCALE={house.defaults.locale} has no catalogue under {directory / languages.LANGUAGES}; "
            f"there are {', '.join(spoken)}"
        )
    house = replace(house, defaults=replace(house.defaults, spoken=spoken))
    loader, compiled = templating.Styled(directory), templating.Compiled()
    try:
        renderer = Renderer(
            {
                language: _compile_all(
                    templating.environment(
                        loader, translations, compiled, {"palette": house.brand.palette, "start": _start(language)}
                    ),
                    directory,
                )
                for language, translations in catalogues.items()
            },
            house,
        )
    except jinja2.TemplateNotFound as problem:
        raise ConfigurationError(
            f"template {problem.name} is missing under TEMPLATES_DIR={directory}: restore the file"
        ) from problem
    except jinja2.TemplateSyntaxError as problem:
        raise ConfigurationError(f"template {problem.filename}:{problem.lineno}: {problem.message}") from problem
    _prove(renderer, directory)
    return renderer


def _start(language: str) -> str:
    """The side on which a line begins."""
    return "left" if languages.locale_of(language).text_direction == "ltr" else "right"


def _compile_all(environment: Environment, directory: Path) -> Mapping[str, MailTemplate]:
    for shared in sorted(path for path in (directory / SHARED).glob("*") if path.suffix in (".html", ".txt")):
        environment.get_template(f"{SHARED}/{shared.name}")
    return {name: _compile(environment, directory, name) for name in TEMPLATES}


def _compile(environment: Environment, directory: Path, name: str) -> MailTemplate:
    subject, text, html = (environment.get_template(f"{name}/{part}") for part in PARTS)
    words = Words(environment.get_template(_WORDS).module)
    return MailTemplate(name, _digest(directory, name), subject, text, html, words)


def _digest(directory: Path, name: str) -> str:
    digest = hashlib.sha256()
    for folder in (SHARED, languages.LANGUAGES, name):
        for path in sorted((directory / folder).glob("*.*")):
            digest.update(path.relative_to(directory).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _prove(renderer: Renderer, directory: Path) -> None:
    """Render each template on an event of which nothing is known in every language, and on every sample in one."""
    bare = [event for kind in EVENT_TYPES if (event := parse({}, kind))]
    proofs = [(event, language) for event in bare for language in renderer.languages]
    for event, language in [*proofs, *((sample, None) for _, sample in samples(directory))]:
        try:
            renderer.render(RULES[type(event)].template, event, Person(email=None), language)
        except TemplateFaultError as problem:
            raise ConfigurationError(f"template {problem}") from problem


def samples(directory: Path) -> list[tuple[str, Event]]:
    """Every sample event beside the templates that becomes an e-mail, with its name."""
    found = [(path.stem, json.loads(path.read_text("utf-8"))) for path in sorted((directory / SAMPLES).glob("*.json"))]
    return [(name, event) for name, data in found if (event := parse(data, str(data.get("event_type"))))]


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
