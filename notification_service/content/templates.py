"""The Jinja environment of the templates: one for each language, with `_("...")` for sentences."""

import json
import re
import tomllib
from collections.abc import Callable, Mapping, MutableMapping
from functools import lru_cache, partial
from gettext import NullTranslations
from pathlib import Path
from typing import Any

from jinja2 import (
    BaseLoader,
    BytecodeCache,
    Environment,
    FileSystemLoader,
    StrictUndefined,
    Template,
    TemplateSyntaxError,
)
from jinja2.bccache import Bucket
from jinja2.runtime import Context
from markupsafe import Markup

from notification_service.content import formatting, line_breaking
from notification_service.content.css_inliner import StyleError, StyleSheet
from notification_service.content.template_code import FOR_TEMPLATES, DirectMacro, TemplateCode, marked, shown
from notification_service.contract.events import Event, parse
from notification_service.foundation.errors import ConfigurationError

SHARED = "_base"
SAMPLES = "_samples"
_STYLE = f"{SHARED}/style.css"
_MAX_REMEMBERED, _MAX_SHORT = 64, 32
_CONFIGURATION = "template.toml"
_TEXTS_ALONE = re.compile(r"(?:[^%]|%%|%\(\w+\)s)*")
"""Sentences whose values are inserted as texts, so that these can be escaped before."""
_OF_THE_COMPILER = ("_block_vars", "_loop_vars")


class SharedBytecode(BytecodeCache):
    """Compiles each template once for all languages: its code is the same in each."""

    def __init__(self) -> None:
        self._codes: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._codes:
            bucket.bytecode_from_string(self._codes[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._codes[bucket.key] = bucket.bytecode_to_string()


class StyledLoader(FileSystemLoader):
    """Loads the templates of a directory, and writes their style sheet into the tags of each HTML template."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._sheet: StyleSheet | None = None
        self._sources: dict[str, tuple[str, str, Callable[[], bool]]] = {}

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        if template not in self._sources:
            source, filename, unchanged = super().get_source(environment, template)
            if template.endswith(".html"):
                source = self._styled(source, template, filename, environment)
            self._sources[template] = source, filename, unchanged
        return self._sources[template]

    def _styled(self, source: str, template: str, filename: str, environment: Environment) -> str:
        if self._sheet is None:
            rules, sheet_file, _ = super().get_source(environment, _STYLE)
            try:
                self._sheet = StyleSheet(rules)
            except StyleError as problem:
                raise TemplateSyntaxError(problem.message, problem.line, _STYLE, sheet_file) from problem
        try:
            return self._sheet.apply(source)
        except StyleError as problem:
            raise TemplateSyntaxError(problem.message, problem.line, template, filename) from problem


class Sentences:
    """The function `_("...")` of one language: translates, and inserts values, escaped in HTML.

    `html`, `text`: the sentences without values.
    """

    def __init__(self, translations: NullTranslations) -> None:
        self._translations = translations
        self._known: dict[str, tuple[str, Markup | None]] = {}
        self.html, self.text = _Whole(self, html=True), _Whole(self, html=False)

    def say(self, sentence: str, values: Mapping[str, Any], *, html: bool) -> str:
        known = self._known.get(sentence)
        if known is None:
            text = self._translations.gettext(sentence)
            # A catalogue is as trusted as a template.
            known = self._known[sentence] = text, None if _TEXTS_ALONE.fullmatch(text) else Markup(text)  # noqa: S704
        # Also without values, so that a percent sign is written `%%` in every sentence.
        text, markup = known
        if not html:
            return text % values
        return (
            marked(text % {name: shown(value) for name, value in values.items()}) if markup is None else markup % values
        )


class _Whole(dict[str, str]):
    """Sentences without values, each said once."""

    def __init__(self, sentences: Sentences, *, html: bool) -> None:
        super().__init__()
        self._say = partial(sentences.say, values={}, html=html)

    def __missing__(self, sentence: str) -> str:
        said = self[sentence] = self._say(sentence)
        return said


class Plurals:
    """The function `ngettext("...", "...", number)` of one language; the number is `%(num)s`."""

    def __init__(self, translations: NullTranslations) -> None:
        self._translations = translations

    def say(self, one: str, many: str, number: int, values: Mapping[str, Any], *, html: bool) -> str:
        text = self._translations.ngettext(one, many, number)
        pattern = Markup(text) if html else text  # noqa: S704 - a catalogue is as trusted as a template
        return pattern % {"num": number, **values}


class Joint:
    """The function `sentences(...)`, or `pieces(...)`, of one language: joins what is known, escaped in HTML.

    `pattern`: the message of the catalogues that has `%(first)s`, what stands between, and `%(next)s`.
    """

    def __init__(self, translations: NullTranslations, pattern: str) -> None:
        # A catalogue is as trusted as a template: this is not escaped.
        self._between = translations.gettext(pattern).removeprefix("%(first)s").removesuffix("%(next)s")

    def in_html(self, *parts: object) -> str:
        return marked(self._between.join([shown(part) for part in parts if part]))

    def in_text(self, *parts: str | None) -> str:
        return line_breaking.one_line(self._between.join([part for part in parts if part]))


_DIRECT = frozenset({DirectMacro, Sentences, Plurals, Joint})
_OF_PYTHON = type("".splitlines)


class _Context(Context):
    """Calls macros and sentences directly: Jinja inspects each callable four times before a call."""

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 - whatever a template has
        return self.vars[key] if key in self.vars else self.parent[key]

    def call(self, callee: Any, /, *values: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever a template calls
        kind = type(callee)
        if kind not in _DIRECT and kind is not _OF_PYTHON:
            return super().call(callee, *values, **named)
        if named:
            for name in _OF_THE_COMPILER:
                named.pop(name, None)
        if kind is _OF_PYTHON:
            return callee(*values, **named)
        if kind is DirectMacro:
            return callee(self.eval_ctx, *values, **named)
        if kind is Joint:
            return (callee.in_html if self.eval_ctx.autoescape else callee.in_text)(*values)
        return callee.say(*values, named, html=self.eval_ctx.autoescape)


class _Environment(Environment):
    """An environment whose globals are complete before the first template is loaded."""

    code_generator_class = TemplateCode
    context_class = _Context
    for_templates = FOR_TEMPLATES
    sentences: Sentences

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - Jinja's
        super().__init__(**options)
        self._loaded: dict[str, Template] = {}

    def get_template(
        self,
        name: str | Template,
        parent: str | None = None,
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002 - Jinja's
    ) -> Template:
        """Return what was loaded once, which is never loaded anew."""
        found = self._loaded.get(name) if isinstance(name, str) and not globals else None
        if found is None:
            found = super().get_template(name, parent, globals)
            self._loaded[str(found.name)] = found
        return found

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        """Return one dictionary: Jinja's chain of several is copied for every mail, key by key."""
        return {**self.globals, **(d or {})}


def environment(
    loader: BaseLoader, translations: NullTranslations, compiled: BytecodeCache, known: Mapping[str, object]
) -> Environment:
    """`known`: values that are the same in every mail of the language; macros can use them too."""
    made = _Environment(
        loader=loader,
        autoescape=lambda name: name is not None and name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
        bytecode_cache=compiled,
        extensions=["jinja2.ext.i18n"],
    )
    made.policies["ext.i18n.trimmed"] = True
    made.filters.update(formatting.FILTERS)
    made.install_gettext_translations(translations, newstyle=True)  # type: ignore[attr-defined]  # i18n's own
    made.globals.update(known)
    made.sentences = made.globals["_"] = made.globals["gettext"] = Sentences(translations)
    made.globals["ngettext"] = Plurals(translations)
    made.globals["sentences"] = Joint(translations, "%(first)s %(next)s")
    made.globals["pieces"] = Joint(translations, "%(first)s · %(next)s")
    return made


class SharedPhrases:
    """The sentences that HTML and text parts share, as functions that return plain text, which HTML escapes.

    Imported into an HTML template directly, a macro of a text template would count as safe, with unescaped values.
    """

    def __init__(self, module: object) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Callable[..., str]:
        phrase = _phrase(getattr(self._module, name))
        self.__dict__[name] = phrase  # so that it is found without this method
        return phrase


def _phrase(macro: Callable[..., object]) -> Callable[..., str]:
    """The macro as a function. What it says of reasons, numbers and other short values is remembered."""
    remembered = lru_cache(_MAX_REMEMBERED, typed=True)(lambda *values: str(macro(*values)))

    def phrase(*values: object) -> str:
        for value in values:
            if len(value) > _MAX_SHORT if isinstance(value, str) else not isinstance(value, int | None):
                return str(macro(*values))
        return remembered(*values)

    phrase.in_html = phrase.in_text = phrase  # type: ignore[attr-defined]  # see `template_code`
    return phrase


def is_optional(directory: Path, name: str) -> bool:
    """Whether the template says in its `template.toml` that a reader may unsubscribe from it.

    Raises `ConfigurationError` for a file that says anything else.
    """
    path = directory / name / _CONFIGURATION
    try:
        said = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return False
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise ConfigurationError(f"template {path} cannot be read: {problem}") from problem
    if not isinstance(said.get("optional", False), bool) or said.keys() - {"optional"}:
        raise ConfigurationError(f"template {path}: it may say `optional = true` or `optional = false`, and no more")
    return bool(said.get("optional", False))


def samples(directory: Path) -> list[tuple[str, Event]]:
    """Returns the name and event of each sample beside the templates that becomes an e-mail."""
    found = [(path.stem, json.loads(path.read_text("utf-8"))) for path in sorted((directory / SAMPLES).glob("*.json"))]
    return [(name, event) for name, data in found if (event := parse(data, str(data.get("event_type"))))]


def failed_at(problem: Exception, template: str, parts: tuple[str, ...]) -> str:
    """The innermost line of a template in a traceback, whose frames Jinja2 maps to lines of the templates.

    `parts`: the names of a template's files. The template itself where no line of one is among them.
    """
    where, frame = template, problem.__traceback__
    while frame is not None:
        filename = frame.tb_frame.f_code.co_filename
        if filename.endswith(parts) or f"/{SHARED}/" in filename:
            where = f"{filename}:{frame.tb_lineno}"
        frame = frame.tb_next
    return where
