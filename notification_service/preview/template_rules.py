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

_COMMENT = re.compile(r"{#.*?#}", re.DOTALL)
_TAG = re.compile(r"{{.*?}}|{%.*?%}", re.DOTALL)
_MARKUP = re.compile(r"<style.*?</style>|<!--.*?-->|<[^>]*>", re.DOTALL)
_TEXT = re.compile(r"\S+(?: \S+)*")
_SIDE_BY_SIDE = re.compile(r"}}[ \t]+{{")
_GLUE = re.compile(r"""~\s*(["'])[\W_]+?\1|(["'])[\W_]+?\2\s*~|\bjoin\((["'])[\W_]+?\3""")
_FACT = re.compile(r"""\b(?:fact|named|stub)\(\s*_\("([^"]+)"\),\s*(?:event\.)?(\w+)\b(?!\|)""")
_ALIAS = re.compile(r"{%-?\s*set (\w+) = event\.(\w+)")
_STATEMENT = re.compile(r"{%-?\s*(if|elif|else|endif|for|endfor)\b(.*?)-?%}", re.DOTALL)

_IDS = (
    {"booking_id"},
    {"transaction_id", "original_transaction_id"},
    {"refund_transaction_id"},
    {"ticket_token"},
)
"""The fields of each id."""

_PROMISES = (
    (re.compile(r"\b[Yy]ou can cancel\b"), "hours", "CANCEL_HOURS"),
    (re.compile(r"\barrive about\b"), "arrive_minutes", "ARRIVE_MINUTES"),
    (re.compile(r"\bbusiness days?\b"), "days", "REFUND_DAYS"),
    (re.compile(r"\bholding (?:them|your seats)\b"), "seats_held_until", "the event's seats_held_until"),
    (re.compile(r"\b(?:haven't been|[Nn]othing was) charged\b"), "nothing_charged", "nothing_charged"),
    (re.compile(r"\breferences? above\b"), "references", "a reference in the mail"),
)
"""What a sentence promises, the value that has to be asked for first, and where that comes from."""


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

    def line(self, at: int) -> str:
        return f"{self.name}:{self.text.count(chr(10), 0, at) + 1}"


def faults(templates: Path) -> Iterator[TemplateFault]:
    sources = list(_sources(templates))
    for source in sources:
        yield from _outside_catalogues(source)
        yield from _joined(source)
        yield from _promises(source)
    yield from _names(sources, templates)


def _sources(templates: Path) -> Iterator[_Source]:
    for folder in (SHARED, *TEMPLATES, *variant_folders.find(templates, TEMPLATES)):
        for path in sorted((templates / folder).glob("*.*")):
            if path.suffix in (".html", ".txt"):
                text = _COMMENT.sub(_blank, path.read_text("utf-8"))
                yield _Source(path.relative_to(templates).as_posix(), text)


def _blank(found: re.Match[str]) -> str:
    return re.sub(r"\S", " ", found[0])


def _outside_catalogues(source: _Source) -> Iterator[TemplateFault]:
    shown = _TAG.sub(_blank, source.text)
    if source.name.endswith(".html"):
        shown = _MARKUP.sub(_blank, shown)
    for found in _TEXT.finditer(shown):
        yield TemplateFault(
            source.line(found.start()),
            f"{found[0][:60]!r} stands outside of the catalogues",
            'put it inside a sentence, _("..."): each language has its own words, colons, full stops and spaces',
        )


def _joined(source: _Source) -> Iterator[TemplateFault]:
    glued = [tag.start() for tag in _TAG.finditer(source.text) if _GLUE.search(tag[0])]
    for at in (*glued, *(found.start() for found in _SIDE_BY_SIDE.finditer(source.text))):
        yield TemplateFault(
            source.line(at), "two sentences are joined here", "write sentences(one, two): Japanese has no space there"
        )


def _promises(source: _Source) -> Iterator[TemplateFault]:
    conditions: list[str] = []
    for tag in _TAG.finditer(source.text):
        if statement := _STATEMENT.match(tag[0]):
            _follow(conditions, statement[1], statement[2])
            continue
        asked = [*conditions, *re.findall(r"\bif\b([^,\n]*)", tag[0])]
        for sentence, value, behind in _PROMISES:
            promise = sentence.search(tag[0])
            if promise and not any(value in condition for condition in asked):
                what = f"{promise[0]!r} is promised without {behind}"
                at = source.line(tag.start() + promise.start())
                yield TemplateFault(at, what, f"put {{% if %}} with {value} around it")


def _follow(conditions: list[str], keyword: str, condition: str) -> None:
    if keyword in ("endif", "elif", "else", "endfor") and conditions:
        conditions.pop()
    if keyword in ("if", "elif", "else", "for"):
        conditions.append(condition if keyword != "for" else "")


def _names(sources: list[_Source], templates: Path) -> Iterator[TemplateFault]:
    used: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for source in sources:
        aliases = dict(_ALIAS.findall(source.text))
        for found in _FACT.finditer(source.text):
            field = aliases.get(found[2], found[2])
            for number in (number for number, fields in enumerate(_IDS) if field in fields):
                used[number][found[1]].append(source.line(found.start()))
    names = [_most_used(labels) for labels in used.values()]
    for labels, name in zip(used.values(), names, strict=True):
        for label, places in labels.items():
            for place in places if label != name else ():
                yield TemplateFault(place, f"{label!r} is called {name!r} in other mails", "one id has one name")
    yield from _shared_names(names, templates)


def _most_used(labels: Mapping[str, list[str]]) -> str:
    return max(labels, key=lambda label: len(labels[label]))


def _shared_names(names: list[str], templates: Path) -> Iterator[TemplateFault]:
    """Two ids with one name in a language: nobody could tell which one is asked for."""
    for language, translations in catalogues.load(templates).items():
        said = Counter(translations.gettext(name) for name in names)
        for name in (name for name, times in said.items() if times > 1):
            yield TemplateFault(f"{language}.po", f"two ids are called {name!r}", "give each a name of its own")
