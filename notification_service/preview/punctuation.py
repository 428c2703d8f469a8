"""What is wrong in how a translation is punctuated, by the rules of its language."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_PLACEHOLDER = re.compile(r"%\(\w+\)s|%%")
_VALUE = "\ufffc"
"""What stands for a value, so that no letter or mark of its name is judged."""

_JAPANESE = r"[\u3001-\u30ff\u4e00-\u9fff\uff01-\uff5e]"
_STOPS = ".。।"
_ENDS = {".": _STOPS, ":": ":："}  # noqa: RUF001 - East Asian
_SALUTATION = "Hello "


class _Rule(NamedTuple):
    wrong: re.Pattern[str]
    instead: str


_EVERYWHERE = (
    _Rule(re.compile(r"  |\u00a0 | \u00a0"), "one space"),
    _Rule(re.compile(r'"'), "the quotation marks of the language"),
)
_RULES: Mapping[str, tuple[_Rule, ...]] = {
    "ar": (_Rule(re.compile(r"[,;?]"), "the Arabic marks ، ؛ ؟"),),
    "de": (_Rule(re.compile(r"[”«»']"), "„…“, and ’ in a word"),),  # noqa: RUF001 - quotation marks
    "es": (_Rule(re.compile(r"^[^¿]*\?|^[^¡]*!|[“”„']"), "¿…?, ¡…! and «…»"),),
    "fr": (
        _Rule(re.compile(r"[^\u00a0\u202f][:;!?»]|«[^\u00a0\u202f]"), "a no-break space before : ; ! ? » and after «"),
        _Rule(re.compile(r"['“”„]"), "’ in a word, and « … »"),  # noqa: RUF001 - quotation marks
    ),
    "hi": (
        _Rule(re.compile(r"[\u0900-\u097f]\."), "। at the end of a sentence"),
        _Rule(re.compile("[\u0915\u0916\u0917]\u093c|[\u0958-\u095a]"), "the nuqta under ज and फ alone"),
        _Rule(re.compile("पुष्टि"), "कन्फ़र्म, as in all other sentences"),
    ),
    "ja": (
        _Rule(re.compile(r"[,.:;!?()]"), "full-width marks"),
        _Rule(re.compile(rf"(?<={_JAPANESE})[ \u00a0](?={_JAPANESE})"), "no space between Japanese characters"),
    ),
}


def faults(language: str, source: str, translation: str) -> Iterator[str]:
    """Yields what is wrong, each as the end of a sentence. `source`: the sentence of the template."""
    text = _PLACEHOLDER.sub(_VALUE, translation)
    for rule in (*_EVERYWHERE, *_RULES.get(language.partition("_")[0], ())):
        if found := rule.wrong.search(text):
            yield f"{found[0]!r} in {translation!r} is not how the language writes it: {rule.instead}"
    if re.search("[!！¡]", text) and not source.startswith(_SALUTATION):  # noqa: RUF001 - East Asian
        yield f"{translation!r} has an exclamation mark, which only a salutation may have"
    ends, end = _ENDS.get(source[-1:]), text.rstrip()[-1:]
    if ends and end not in ends:
        yield f"{translation!r} does not end with {source[-1]!r}, as {source!r} does"
    elif source[-1:].isalnum() and end in _STOPS:
        yield f"{translation!r} ends with {end!r}, and {source!r} has no end"
