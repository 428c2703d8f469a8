"""Subject, text and html of a notice, from the folders under `templates/`."""

import hashlib
import json
import re
import textwrap
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import css_inline
import jinja2
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from notification_service import links, wording
from notification_service.events import EVENT_TYPES, Event, parse
from notification_service.links import Links
from notification_service.notices import RULES, TEMPLATES
from notification_service.outcomes import ConfigurationError
from notification_service.ports import Person

SHARED, SAMPLES = "_base", "_samples"
PARTS = ("subject.txt", "body.txt", "body.html")
_TEXT_WIDTH = 78
_LONGEST_TEXT = 500


class TemplateFaultError(Exception):
    """A template cannot be rendered; `where` is its `file:line`."""

    def __init__(self, where: str, detail: str) -> None:
        super().__init__(f"{where}: {detail}")
        self.where = where


@dataclass(frozen=True, slots=True)
class Brand:
    """Who writes. Every mail is signed with it, and changing it needs no template."""

    name: str
    support_email: str | None = None
    site_url: str | None = None
    address: str | None = None


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


@dataclass(frozen=True, slots=True)
class MailTemplate:
    """The three parts of one e-mail, compiled. `digest` names their content, shared parts included."""

    name: str
    digest: str
    subject: Template
    text: Template
    html: Template


class Renderer:
    """Renders each notice from templates that were compiled once. Build it with `load`."""

    def __init__(
        self,
        templates: Mapping[str, MailTemplate],
        brand: Brand,
        defaults: wording.Defaults,
        link_hosts: Collection[str] = (),
    ) -> None:
        self._templates = templates
        self._brand = brand
        self._link_hosts = frozenset(host.lower() for host in link_hosts)
        self._defaults = defaults
        self._inliner = css_inline.CSSInliner(load_remote_stylesheets=False)

    def digest(self, template: str) -> str:
        return self._templates[template].digest

    def zone(self, event: Event) -> ZoneInfo | None:
        """The time zone in which the event's mail speaks, where one is known."""
        return self._defaults.for_event(event).zone

    def render(self, template: str, event: Event, person: Person) -> Mail:
        """Raises `TemplateFaultError` with file and line where the template is at fault."""
        parts = self._templates[template]
        context = self._context(event, person)
        try:
            subject = " ".join(parts.subject.render(context).split())
            context["subject"] = subject
            text = tidy_text(parts.text.render(context))
            html = self._inliner.inline(parts.html.render(context))
        except css_inline.InlineError as problem:
            raise TemplateFaultError(f"{template}/body.html", str(problem)) from problem
        except Exception as problem:  # a template may call anything that its values offer
            raise TemplateFaultError(_where(problem, template), str(problem)) from problem
        return Mail(subject, text, html)

    def _context(self, event: Event, person: Person) -> dict[str, Any]:
        retry = links.allowed(getattr(event, "retry_url", None), self._link_hosts)
        return {
            "event": _readable(event),
            "person": person,
            "brand": self._brand,
            "links": Links(retry=retry, site=self._brand.site_url),
            "style": self._defaults.for_event(event),
            "subject": "",
        }


def _readable(event: Event) -> Event:
    """The event with its texts cut to what a person would read: no field makes a mail that is clipped."""
    texts = {name: _cut(value) for name, value in event if isinstance(value, str) and len(value) > _LONGEST_TEXT}
    seats = getattr(event, "seats", ())
    return event.model_copy(update={**texts, "seats": tuple(map(_cut, seats))} if seats else texts)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def load(directory: Path, brand: Brand, defaults: wording.Defaults, link_hosts: Collection[str] = ()) -> Renderer:
    """Compile every template and render each once. Raises `ConfigurationError` that names file and line."""
    environment = Environment(
        loader=FileSystemLoader(directory),
        autoescape=lambda name: name is not None and name.endswith(".html"),  # noqa: S701 - by name: .txt is no markup
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
    )
    environment.filters.update(wording.FILTERS)
    try:
        renderer = Renderer(
            {name: _compile(environment, directory, name) for name in TEMPLATES}, brand, defaults, link_hosts
        )
    except jinja2.TemplateNotFound as problem:
        raise ConfigurationError(
            f"template {problem.name} is missing under TEMPLATES_DIR={directory}: restore the file"
        ) from problem
    except jinja2.TemplateSyntaxError as problem:
        raise ConfigurationError(f"template {problem.filename}:{problem.lineno}: {problem.message}") from problem
    _prove(renderer, directory)
    return renderer


def _compile(environment: Environment, directory: Path, name: str) -> MailTemplate:
    subject, text, html = (environment.get_template(f"{name}/{part}") for part in PARTS)
    for shared in sorted((directory / SHARED).glob("*")):
        environment.get_template(f"{SHARED}/{shared.name}")
    return MailTemplate(name, _digest(directory, name), subject, text, html)


def _digest(directory: Path, name: str) -> str:
    digest = hashlib.sha256()
    for path in sorted([*(directory / SHARED).glob("*"), *(directory / name).glob("*")]):
        digest.update(path.relative_to(directory).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _prove(renderer: Renderer, directory: Path) -> None:
    """Render each template on an event of which nothing is known, and on every sample."""
    bare = [event for kind in EVENT_TYPES if (event := parse({}, kind))]
    for event in [*bare, *(sample for _, sample in samples(directory))]:
        try:
            renderer.render(RULES[type(event)].template, event, Person(email=None))
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
