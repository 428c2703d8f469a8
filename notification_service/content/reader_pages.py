"""The page on which a reader unsubscribes, in their language. It needs no script, and loads nothing."""

import base64
import hashlib
from collections.abc import Mapping
from enum import StrEnum
from gettext import NullTranslations
from pathlib import Path

import jinja2
from jinja2 import FileSystemLoader

from notification_service.content import catalogues, templates
from notification_service.foundation.errors import ConfigurationError

_TEMPLATE = "_pages/unsubscribe.html"
_STYLE = """
:root{color-scheme:light dark}
body{margin:0;font:17px/1.5 system-ui,sans-serif;background:#f4f2ef;color:#1d1b19}
main{max-width:26rem;margin:12vh auto 0;padding:2rem 1.5rem;background:#fff;border-radius:12px}
.brand{margin:0 0 1.5rem;font-weight:600;color:ACCENT}
h1{margin:0 0 .75rem;font-size:1.4rem;line-height:1.25}
p{margin:0 0 1.5rem}
button{font:inherit;font-weight:600;min-height:48px;padding:.6rem 1.4rem;border:2px solid ACCENT;border-radius:8px;
background:ACCENT;color:#fff;cursor:pointer}
button.quiet{background:none;color:inherit;border-color:currentColor}
button:focus-visible{outline:3px solid #2f6fde;outline-offset:2px}
@media (prefers-color-scheme:dark){body{background:#161412;color:#eee9e3}main{background:#221f1c}.brand{color:inherit}}
@media (max-width:32rem){main{margin:0;min-height:100vh;border-radius:0;box-sizing:border-box}}
"""


class State(StrEnum):
    """What the page says."""

    ASK = "ask"
    LEFT = "left"
    BACK = "back"


class ReaderPages:
    """Renders every page once: it is the same for every reader of a language.

    `accent`: the brand's colour. Raises `ConfigurationError` where the template is missing or wrong.
    """

    def __init__(self, directory: Path, brand: str, accent: str) -> None:
        style = _STYLE.replace("ACCENT", accent)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        self.headers: Mapping[str, str] = {
            "Content-Security-Policy": (
                f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'self'; base-uri 'none'; "
                "frame-ancestors 'none'"
            ),
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
        }
        known = {"brand": brand, "style": style}
        try:
            self._pages = {
                (language, state): page
                for language, translations in catalogues.load(directory).items()
                for state, page in _rendered(directory, language, translations, known).items()
            }
        except jinja2.TemplateError as problem:
            raise ConfigurationError(
                f"template {_TEMPLATE} under TEMPLATES_DIR={directory} is missing or wrong: {problem}"
            ) from problem

    def subscription(self, language: str, state: State) -> bytes:
        """The page in this language, in English where there is no catalogue for it."""
        return self._pages.get((language, state)) or self._pages[catalogues.SOURCE, state]


def _rendered(
    directory: Path, language: str, translations: NullTranslations, known: Mapping[str, str]
) -> Mapping[State, bytes]:
    locale = catalogues.locale_of(language)
    known = {**known, "lang": str(locale).replace("_", "-"), "dir": locale.text_direction}
    made = templates.environment(FileSystemLoader(directory), translations, templates.SharedBytecode(), known)
    template = made.get_template(_TEMPLATE)
    return {state: template.render(state=state).encode() for state in State}
