"""Renders the short texts of SMS and push from `templates/<name>/sms.txt` and `push.txt`.

A message has no markup and no greeting. Lines that are empty are left out.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import Template

from notification_service.content import (
    cancellation_causes,
    catalogues,
    decline_reasons,
    links,
    templates,
    variant_folders,
)
from notification_service.content.event_text import cleaned, earlier_show, isolated
from notification_service.content.formatting import cut
from notification_service.content.localization import Localization
from notification_service.content.profile import SenderProfile
from notification_service.content.templates import SHARED, SharedPhrases, failed_at
from notification_service.contract.events import EVENT_TYPES, Event, PaymentFailed, parse
from notification_service.contract.notification_rules import RULES, TEMPLATES
from notification_service.contract.remarks import Remark
from notification_service.contract.showtimes import parse_showtime
from notification_service.contract.variants import control_name
from notification_service.foundation.errors import ConfigurationError

SMS, PUSH = "sms.txt", "push.txt"
_PHRASES = f"{SHARED}/words.txt"
_BRIEF = 20
"""Characters of a title, from which on down a text leaves out what its reader can do without (`brief`)."""


class TextError(Exception):
    """A template cannot be rendered; `where` is its `file:line`."""

    def __init__(self, where: str, detail: str) -> None:
        super().__init__(detail)
        self.where = where


@dataclass(frozen=True, slots=True)
class ShortText:
    """`lines`: of the text, none of them empty. `language`: of the catalogue. `remarks`: for the operator."""

    lines: tuple[str, ...]
    language: str
    remarks: tuple[Remark, ...] = ()

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@dataclass(frozen=True, slots=True)
class TextFault:
    """`where`: the file and the line. `sample`: with its language."""

    where: str
    sample: str
    what: str

    def __str__(self) -> str:
        return f"template {self.where}: {self.sample}: {self.what}"


@dataclass(frozen=True, slots=True)
class Trial:
    """An event for which a text has to be right. `sample`: what it is called, with its language."""

    sample: str
    event: Event
    template: str
    language: str


class ShortTexts:
    """The compiled templates of one channel: `part` of each template and variant that has it, in every language.

    A variant without a file of its own has that of its control. `own`: those whose file is their own.
    """

    def __init__(
        self,
        part: str,
        compiled: Mapping[str, Mapping[str, Template]],
        digests: Mapping[str, str],
        profile: SenderProfile,
        own: Collection[str],
    ) -> None:
        self.part = part
        self._own = own
        self._compiled = compiled
        self._digests = digests
        self._profile = profile
        self._phrases: dict[str, SharedPhrases] = {}

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(self._compiled)

    @property
    def names(self) -> tuple[str, ...]:
        """The templates and variants that have a text for this channel."""
        return tuple(self._digests)

    def texts_of(self, template: str) -> tuple[str, ...]:
        """The template and its variant, as far as each has a text of its own."""
        return tuple(name for name in self._digests if control_name(name) == template and name in self._own)

    def trials(self, directory: Path) -> Iterator[Trial]:
        """Every sample and every empty event, in each language but the pseudo-locale, for each text of its own."""
        empty = [(f"an empty {kind}", event) for kind in EVENT_TYPES if (event := parse({}, kind))]
        languages = [each for each in self.languages if each != catalogues.PSEUDO]
        for name, event in (*empty, *templates.samples(directory)):
            for template in self.texts_of(RULES[type(event)].template):
                for language in languages:
                    yield Trial(f"{name} in {language}", event, template, language)

    def digest(self, template: str) -> str:
        """Empty for a template without a text. Raises `LookupError` for a variant without one."""
        return self._digests.get(template, "") if template in TEMPLATES else self._digests[template]

    def zone(self, event: Event) -> tzinfo | None:
        return self._profile.defaults.for_event(event).zone

    def show_at(self, event: Event) -> datetime | None:
        """The beginning of the show in UTC, where it is a certain moment: nobody needs the message after it."""
        showtime = getattr(event, "showtime", None)
        at = parse_showtime(showtime, self.zone(event)) if showtime else None
        return at.astimezone(UTC) if at is not None and at.tzinfo else None

    def render(
        self,
        template: str,
        event: Event,
        locale: str | None,
        language: str | None = None,
        *,
        max_title_length: int | None = None,
    ) -> ShortText:
        """Render the text of an event.

        `locale`: the reader's, where the event names none. `language`: one of `languages` instead, for previews.
        `max_title_length`: characters of the film's title; 20 and fewer ask for the shortest text. Raises `TextError`.
        """
        localization = self._localization(event, locale, language)
        compiled = self._compiled[localization.language].get(template)
        if compiled is None:
            raise TextError(f"{template}/{self.part}", "there is no text for this channel: write the file")
        try:
            context, remarks = self._context(
                _with_short_title(cleaned(event), max_title_length), localization, compiled
            )
            written = compiled.render(context, brief=max_title_length is not None and max_title_length <= _BRIEF)
        except Exception as problem:  # a template may raise anything
            raise TextError(failed_at(problem, f"{template}/{self.part}", (SMS, PUSH)), str(problem)) from problem
        lines = tuple(line for each in written.splitlines() if (line := " ".join(each.split())))
        return ShortText(lines, localization.language, tuple(remarks))

    def _localization(self, event: Event, locale: str | None, language: str | None) -> Localization:
        localization = self._profile.defaults.for_event(event, locale)
        if language is None or localization.language == language:
            return localization
        return replace(localization, language=language, locale=catalogues.locale_of(language))

    def _context(
        self, event: Event, localization: Localization, compiled: Template
    ) -> tuple[dict[str, Any], list[Remark]]:
        profile = self._profile
        found, refused = links.for_event(event, profile.links, site=profile.brand.site_url)
        failed = event if isinstance(event, PaymentFailed) else None
        return {
            "event": isolated(event, localization),
            "before": earlier_show(event, localization),
            "brand": profile.brand,
            "links": found,
            "style": localization,
            "terms": profile.policies,
            "cause": cancellation_causes.cause(event),
            "reason": decline_reasons.reason(failed) if failed else None,
            "words": self._words(localization.language, compiled),
        }, refused

    def _words(self, language: str, compiled: Template) -> SharedPhrases:
        if language not in self._phrases:
            self._phrases[language] = SharedPhrases(compiled.environment.get_template(_PHRASES).module)
        return self._phrases[language]


def load(directory: Path, profile: SenderProfile, part: str) -> ShortTexts:
    """Compile the texts of one channel. Raises `ConfigurationError` with file and line."""
    translations_of = catalogues.load(directory)
    languages = [language for language in translations_of if language != catalogues.PSEUDO]
    profile = replace(profile, defaults=replace(profile.defaults, languages=languages))
    loader, bytecode = templates.StyledLoader(directory), templates.SharedBytecode()
    known = {"palette": profile.brand.palette, "start": "left"}
    known_names = (*TEMPLATES, *variant_folders.find(directory, TEMPLATES))
    names = [name for name in known_names if variant_folders.has_own(directory, control_name(name), part)]
    own = frozenset(name for name in names if variant_folders.has_own(directory, name, part))
    compiled: dict[str, Mapping[str, Template]] = {}
    try:
        for language, translations in translations_of.items():
            environment = templates.environment(loader, translations, bytecode, known)
            compiled[language] = {name: variant_folders.part(environment, name, part) for name in names}
    except jinja2.TemplateNotFound as problem:
        raise ConfigurationError(f"template {problem.name} is missing under {directory}: restore the file") from problem
    except jinja2.TemplateSyntaxError as problem:
        raise ConfigurationError(f"template {problem.filename}:{problem.lineno}: {problem.message}") from problem
    digests = {name: _digest(directory, name if name in own else control_name(name), part) for name in names}
    return ShortTexts(part, compiled, digests, profile, own)


def _with_short_title(event: Event, longest: int | None) -> Event:
    title = getattr(event, "movie_title", None)
    if longest is None or not title or len(title) <= longest:
        return event
    return event.model_copy(update={"movie_title": cut(title, longest)})


def _digest(directory: Path, name: str, part: str) -> str:
    digest = hashlib.sha256()
    shared = [*(directory / SHARED).glob("*.txt"), *(directory / catalogues.LANGUAGES).glob("*.po")]
    for path in (*sorted(shared), directory / name / part):
        digest.update(path.relative_to(directory).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
