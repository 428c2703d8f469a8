"""The catalogues under `templates/_languages`: every sentence of the mails, in every language that we speak."""

import re
from collections.abc import Collection, Iterable, Mapping
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path

from babel import Locale, UnknownLocaleError
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import PoFileError, read_po

from notification_service.foundation.caching import bounded_cache
from notification_service.foundation.errors import ConfigurationError

LANGUAGES = "_languages"
SOURCE = "en"
"""The language in which the templates are written, which needs no catalogue."""

PSEUDO = "en_XA"
"""English with accents and 40 % longer: what it shows without accents is in no catalogue. For previews only."""

_CACHE_SIZE = 256
_PLACEHOLDER = re.compile(r"(%\(\w+\)s|%%)")
_ACCENTED = str.maketrans("AaEeIiOoUuCcNnSsYy", "ÅåÉéÎîÖöÛûÇçÑñŠšÝý")


def load(templates: Path) -> Mapping[str, NullTranslations]:
    """The translations by language. Raises `ConfigurationError` that names the file that cannot be read.

    The .po files are read as they are: there is no compiled copy that could be older than they.
    """
    files = sorted((templates / LANGUAGES).glob("*.po"))
    return {SOURCE: NullTranslations(), **{path.stem: _compiled(read(path)) for path in files}, PSEUDO: _Pseudo()}


def locale_of(language: str) -> Locale:
    """The one of a language's catalogue; English of the pseudo-locale."""
    return Locale.parse(SOURCE if language == PSEUDO else language)


def read(path: Path) -> Catalog:
    """One catalogue. Raises `ConfigurationError`."""
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


def choose(asked: Iterable[str | None], spoken: Collection[str]) -> Locale | None:
    """The first asked locale whose language is spoken; `pt-BR` is content with `pt`. None where there is none."""
    for name in asked:
        locale = _locale(name) if name else None
        if locale and locale.language in spoken:
            return locale
    return None


@bounded_cache(_CACHE_SIZE)
def _locale(name: str) -> Locale | None:
    """RFC 5646 with either dash; of a tag that is not known as a whole, its language."""
    parts = name.replace("-", "_").partition(".")[0]
    for tag in (parts, parts.partition("_")[0]):
        try:
            return Locale.parse(tag)
        except (UnknownLocaleError, ValueError, TypeError):
            continue
    return None


class _Pseudo(NullTranslations):
    def gettext(self, message: str) -> str:
        return _stretched(message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return _stretched(msgid1 if n == 1 else msgid2)


def _stretched(message: str) -> str:
    parts = _PLACEHOLDER.split(message)
    # The odd ones are placeholders.
    accented = "".join(part if index % 2 else part.translate(_ACCENTED) for index, part in enumerate(parts))
    return f"{accented} {'·' * max(2, len(message) * 2 // 5)}"
