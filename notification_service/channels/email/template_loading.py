"""Loads and compiles the e-mail templates, and renders each once, so that an error stops the start."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import jinja2
from jinja2 import Environment

from notification_service.channels.email.mail import PARTS, MailTemplate
from notification_service.channels.email.rendering import Renderer
from notification_service.channels.email.wallet.tickets import Wallets
from notification_service.content import catalogues, templates, variant_folders
from notification_service.content.profile import SenderProfile
from notification_service.content.templates import SHARED, SharedPhrases, samples
from notification_service.contract.events import EVENT_TYPES, Event, parse
from notification_service.contract.notification_rules import RULES, TEMPLATES
from notification_service.contract.variants import control_name
from notification_service.delivery.ports.composer import CompositionError
from notification_service.delivery.ports.directory import Recipient
from notification_service.foundation.errors import ConfigurationError

_NO_WALLETS = Wallets()
_PHRASES = f"{SHARED}/words.txt"


def load(
    directory: Path,
    profile: SenderProfile,
    wallets: Wallets = _NO_WALLETS,
    names: Sequence[str] = TEMPLATES,
) -> Renderer:
    """Compile the templates of these names, and render each once. Raises `ConfigurationError` with file and line."""
    found = variant_folders.find(directory, TEMPLATES)
    variant_names = [name for name in found if control_name(name) in names]
    translations_of = catalogues.load(directory)
    languages = [language for language in translations_of if language != catalogues.PSEUDO]
    if catalogues.choose([profile.defaults.locale], languages) is None:
        raise ConfigurationError(
            f"DEFAULT_LOCALE={profile.defaults.locale} has no catalogue under {directory / catalogues.LANGUAGES}; "
            f"there are {', '.join(languages)}"
        )
    profile = replace(profile, defaults=replace(profile.defaults, languages=languages))
    loader, compiled = templates.StyledLoader(directory), templates.SharedBytecode()
    try:
        renderer = Renderer(
            {
                language: _compile_all(
                    templates.environment(
                        loader, translations, compiled, {"palette": profile.brand.palette, "start": _start(language)}
                    ),
                    directory,
                    (*names, *variant_names),
                )
                for language, translations in translations_of.items()
            },
            profile,
            wallets,
        )
    except jinja2.TemplateNotFound as problem:
        raise ConfigurationError(
            f"template {problem.name} is missing under TEMPLATES_DIR={directory}: restore the file"
        ) from problem
    except jinja2.TemplateSyntaxError as problem:
        raise ConfigurationError(f"template {problem.filename}:{problem.lineno}: {problem.message}") from problem
    _render_once(renderer, directory)
    _render_everything(renderer, directory, variant_names)
    return renderer


def _start(language: str) -> str:
    """The side on which lines begin."""
    return "left" if catalogues.locale_of(language).text_direction == "ltr" else "right"


def _compile_all(environment: Environment, directory: Path, names: Sequence[str]) -> Mapping[str, MailTemplate]:
    for shared in sorted(path for path in (directory / SHARED).glob("*") if path.suffix in (".html", ".txt")):
        environment.get_template(f"{SHARED}/{shared.name}")
    return {name: _compile(environment, directory, name) for name in names}


def _compile(environment: Environment, directory: Path, name: str) -> MailTemplate:
    subject, text, html = (variant_folders.part(environment, name, part) for part in PARTS)
    phrases = SharedPhrases(environment.get_template(_PHRASES).module)
    optional = templates.is_optional(directory, control_name(name))
    return MailTemplate(name, variant_folders.digest(directory, name, PARTS), subject, text, html, phrases, optional)


def _render_once(renderer: Renderer, directory: Path) -> None:
    """Render each template for an empty event in every language, and for every sample in one language."""
    cases = [(event, language) for event in _empty_events() for language in renderer.languages]
    for event, language in [*cases, *((sample, None) for _, sample in samples(directory))]:
        _render(renderer, RULES[type(event)].template, event, language)


def _render_everything(renderer: Renderer, directory: Path, variant_names: Sequence[str]) -> None:
    """Render each variant for an empty event and for every sample of its template, in every language."""
    events = [*_empty_events(), *(sample for _, sample in samples(directory))] if variant_names else []
    for name in variant_names:
        for event in (each for each in events if RULES[type(each)].template == control_name(name)):
            for language in renderer.languages:
                _render(renderer, name, event, language)


def _empty_events() -> list[Event]:
    return [event for kind in EVENT_TYPES if (event := parse({}, kind))]


def _render(renderer: Renderer, name: str, event: Event, language: str | None) -> None:
    try:
        renderer.render(name, event, Recipient(email=None), language)
    except CompositionError as problem:
        raise ConfigurationError(f"template {problem}") from problem
