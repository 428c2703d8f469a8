"""What is wrong in the source of a template, whatever a sample shows of it.

Words and punctuation are in the catalogues, an id has one name in all mails, and a promise is made only where the
setting or the value of the event that is behind it is known.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from notification_service.content import catalogues, variant_folders
from notification_service.content.templates import SHARED
from notification_service.contract.notification_rules import TEMPLATES
from notification_service.preview import template_sentences
from notification_service.preview.template_sentences import Reading

_COMMENT = re.compile(r"{#.*?#}", re.DOTALL)
_TAG = re.compile(r"{{.*?}}|{%.*?%}", re.DOTALL)
_MARKUP = re.compile(r"<style.*?</style>|<!--.*?-->|<[^>]*>", re.DOTALL)
_ATTRIBUTE = re.compile(r"""\b(?:alt|title|aria-label|placeholder)\s*=\s*["']([^"']*[^\W\d_][^"']*)""")
_TEXT = re.compile(r"\S+(?: \S+)*")

_IDS = (
    {"booking_id"},
    {"transaction_id", "original_transaction_id"},
    {"refund_transaction_id"},
    {"ticket_token"},
)
"""The fields of each id."""

_PROMISES = (
    (
        r"[Yy]ou (?:can|may) (?:still )?cancel\b|[Ff]ree cancellation|[Cc]ancel (?:up to|until|for free)",
        "hours cancel_hours",
        "CANCEL_HOURS",
    ),
    (r"arrive about\b|minutes? (?:early|ahead|before (?:the|your|it))\b", "arrive_minutes", "ARRIVE_MINUTES"),
    (r"(?:business|working|bank) days?\b|within (?:%\(\w+\)s|\d+) (?:hour|day|week)s?\b", "days", "REFUND_DAYS"),
    (
        r"(?:hold|holding|held|keep|keeping|kept|reserve|reserved|reserving)\b.{0,24}?\b(?:for you|until)\b",
        "seats_held_until until",
        "the event's seats_held_until",
    ),
    (
        r"(?:\w+n't|not|never) (?:been |be )?charged\b|[Nn]o(?:thing| money| amount) (?:was|has been) \w+",
        "nothing_charged",
        "nothing_charged",
    ),
    (r"references? (?:above|below)\b", "references", "a reference in the mail"),
    (
        r"[Ww]e(?:'ll| will) refund\b",
        "refund refund_amount refund_eligible",
        "the event's refund_amount or refund_eligible",
    ),
    (r"[Yy]ou (?:requested|asked for) this cancellation\b", "cause", "a known cause"),
    (r"attached file\b", "calendar", "a calendar file"),
    (r"attached pass\b", "apple", "a pass"),
)
"""What a sentence promises, the values of which one has to be asked for first, and where these come from."""


@dataclass(frozen=True, slots=True)
class TemplateFault:
    """`where`: the template's file and line, or a catalogue's file."""

    where: str
    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class _Source:
    name: str
    text: str
    """Without comments; each line is where it is in the file."""
    said: Reading

    def line(self, at: int) -> str:
        return f"{self.name}:{self.text.count(chr(10), 0, at) + 1}"


def faults(templates: Path) -> Iterator[TemplateFault]:
    sources = list(_sources(templates))
    for source in sources:
        yield from _outside_catalogues(source)
        yield from _joined(source)
        yield from _promises(source)
        yield from _exclamations(source)
    yield from _names(sources, templates)


def _sources(templates: Path) -> Iterator[_Source]:
    for folder in (SHARED, *TEMPLATES, *variant_folders.find(templates, TEMPLATES)):
        for path in sorted((templates / folder).glob("*.*")):
            if path.suffix in (".html", ".txt"):
                text = path.read_text("utf-8")
                said = template_sentences.read(text, html=path.suffix == ".html")
                yield _Source(path.relative_to(templates).as_posix(), _COMMENT.sub(_blank, text), said)


def _blank(found: re.Match[str]) -> str:
    return re.sub(r"\S", " ", found[0])


def _outside_catalogues(source: _Source) -> Iterator[TemplateFault]:
    shown = _TAG.sub(_blank, source.text)
    words = [(found[1], source.line(found.start())) for found in _ATTRIBUTE.finditer(shown)]
    if source.name.endswith(".html"):
        shown = _MARKUP.sub(_blank, shown)
    words += [(found[0], source.line(found.start())) for found in _TEXT.finditer(shown)]
    words += [(text, f"{source.name}:{line}") for text, line in source.said.bare]
    for text, where in words:
        yield TemplateFault(
            where,
            f"{text[:60]!r} stands outside of the catalogues",
            'put it inside a sentence, _("..."): each language has its own words, colons, full stops and spaces',
        )


def _joined(source: _Source) -> Iterator[TemplateFault]:
    for line in source.said.joined:
        yield TemplateFault(
            f"{source.name}:{line}",
            "two sentences are joined here",
            "write sentences(one, two): Japanese has no space there",
        )


def _promises(source: _Source) -> Iterator[TemplateFault]:
    for sentence in source.said.sentences:
        for promise, values, behind in _PROMISES:
            found = re.search(promise, sentence.text)
            if found and sentence.asked.isdisjoint(values.split()):
                yield TemplateFault(
                    f"{source.name}:{sentence.line}",
                    f"{found[0]!r} is promised without {behind}",
                    f"put {{% if %}} with {values.replace(' ', ' or ')} around it",
                )


def _exclamations(source: _Source) -> Iterator[TemplateFault]:
    for sentence in source.said.sentences:
        if "!" in sentence.text:
            yield TemplateFault(
                f"{source.name}:{sentence.line}",
                f"{sentence.text!r} has an exclamation mark",
                "end it with a full stop",
            )


def _names(sources: list[_Source], templates: Path) -> Iterator[TemplateFault]:
    used: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for source in sources:
        for label in source.said.labels:
            field = source.said.aliases.get(label.field, label.field)
            for number in (number for number, fields in enumerate(_IDS) if field in fields):
                used[number][label.text].append(f"{source.name}:{label.line}")
    names = [_most_used(labels) for labels in used.values()]
    for labels, name in zip(used.values(), names, strict=True):
        for label_text, places in labels.items():
            for place in places if label_text != name else ():
                yield TemplateFault(place, f"{label_text!r} is called {name!r} in other mails", "one id has one name")
    yield from _shared_names(names, templates)


def _most_used(labels: Mapping[str, list[str]]) -> str:
    return max(labels, key=lambda label: len(labels[label]))


def _shared_names(names: list[str], templates: Path) -> Iterator[TemplateFault]:
    """Two ids with one name in a language: nobody could tell which one is asked for."""
    for language, translations in catalogues.load(templates).items():
        said = Counter(translations.gettext(name) for name in names)
        for name in (name for name, times in said.items() if times > 1):
            yield TemplateFault(f"{language}.po", f"two ids are called {name!r}", "give each a name of its own")
