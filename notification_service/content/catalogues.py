"""Reads the gettext catalogues under `templates/_languages`, and chooses a locale among their languages."""

import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path

from babel import Locale, UnknownLocaleError
from babel.core import get_global
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import PoFileError, read_po

from notification_service.foundation.caching import bounded_cache
from notification_service.foundation.errors import ConfigurationError

LANGUAGES = "_languages"
SOURCE = "en"
"""The language of the templates, which needs no catalogue."""

PSEUDO = "en_XA"
"""A pseudo-locale for previews: accented English, 40 % longer. Text without accents is in no catalogue."""

_CACHE_SIZE = 256
_PLACEHOLDER = re.compile(r"(%\(\w+\)s|%%)")
_ACCENTED = str.maketrans("AaEeIiOoUuCcNnSsYy", "ÅåÉéÎîÖöÛûÇçÑñŠšÝý")


def load(templates: Path) -> Mapping[str, NullTranslations]:
    """Returns the translations by language. Raises `ConfigurationError` with the file that cannot be read.

    The .po files are compiled here, so no compiled copy can be outdated.
    """
    found: dict[str, NullTranslations] = {SOURCE: NullTranslations()}
    for path in files(templates):
        found[path.stem] = _compiled(read(path))
        if base := base_of(path):
            found[path.stem].add_fallback(found[base])
    return {**found, PSEUDO: _Pseudo()}


def files(templates: Path) -> list[Path]:
    """Returns the catalogues, each behind the one that it takes the rest of its sentences from."""
    return sorted((templates / LANGUAGES).glob("*.po"), key=lambda path: (base_of(path) is not None, path.stem))


def base_of(path: Path) -> str | None:
    """Returns the language that a regional catalogue takes the rest of its sentences from: `es` for `es_419.po`."""
    base, region, _ = path.stem.partition("_")
    return base if region and (base == SOURCE or path.with_stem(base).exists()) else None


def locale_of(language: str) -> Locale:
    """Returns the locale of a language; English for the pseudo-locale."""
    return Locale.parse(SOURCE if language == PSEUDO else language)


def read(path: Path) -> Catalog:
    """Read one catalogue. Raises `ConfigurationError`."""
    try:
        with path.open("rb") as file:
            return read_po(file, locale=path.stem, abort_invalid=True)
    except (PoFileError, ValueError, UnknownLocaleError, OSError) as problem:
        raise ConfigurationError(f"{path} is no catalogue: {problem}") from problem


def _compiled(catalog: Catalog) -> GNUTranslations:
    out = BytesIO()
    write_mo(out, catalog)
    out.seek(0)
    return GNUTranslations(out)


def choose(asked: Iterable[str | None], languages: Collection[str]) -> Locale | None:
    """Returns the first locale that `language_of` finds a catalogue for. None where there is none."""
    known = tuple(languages)
    for name in asked:
        if name and (locale := _with_catalogue(name, known)):
            return locale
    return None


@bounded_cache(_CACHE_SIZE)
def _with_catalogue(name: str, languages: tuple[str, ...]) -> Locale | None:
    locale = _of_its_script(_locale(name))
    return locale if locale and _nearest(locale, languages) else None


def _of_its_script(locale: Locale | None) -> Locale | None:
    """The locale; for Hindi in Latin letters, English as in India, which is its parent in CLDR.

    A catalogue is in one script, and who reads another may not read that one.
    """
    if locale is None or locale.script is None:
        return locale
    parent = str(get_global("parent_exceptions").get(f"{locale.language}_{locale.script}", "root"))
    return locale if parent.partition("_")[0] in ("root", locale.language) else Locale.parse(parent)


def language_of(locale: Locale, languages: Collection[str]) -> str | None:
    """Returns the nearest language with a catalogue: for `es_MX` that, else `es_419`, its parent in CLDR, else `es`."""
    return _nearest(locale, tuple(languages))


@lru_cache(_CACHE_SIZE)
def _nearest(locale: Locale, languages: tuple[str, ...]) -> str | None:
    parents = get_global("parent_exceptions")
    name = str(locale)
    nearest = (name, str(parents.get(name)), locale.language)
    return next((language for language in nearest if language in languages and language != PSEUDO), None)


def _locale(name: str) -> Locale | None:
    """Parse a tag of RFC 5646, with hyphens or underscores; of an unknown tag, its language."""
    parts = name.replace("-", "_").partition(".")[0]
    for tag in (parts, parts.partition("_")[0]):
        try:
            return Locale.parse(tag)
        except (UnknownLocaleError, ValueError, TypeError):
            continue
    return None


class _Pseudo(NullTranslations):
    def gettext(self, message: str) -> str:
        return _pseudo_localized(message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return _pseudo_localized(msgid1 if n == 1 else msgid2)


def _pseudo_localized(message: str) -> str:
    parts = _PLACEHOLDER.split(message)
    if not any(map(str.isalpha, "".join(parts[::2]))):
        return message
    # Every second part is a placeholder.
    accented = "".join(part if index % 2 else part.translate(_ACCENTED) for index, part in enumerate(parts))
    return f"{accented} {'·' * max(2, len(message) * 2 // 5)}"
