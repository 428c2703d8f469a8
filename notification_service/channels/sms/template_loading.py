"""Loads the texts of SMS, and renders every sample in every language: what is wrong or too long stops the start."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from notification_service.channels.sms.composer import MAX_SEGMENTS, SmsComposer
from notification_service.content import catalogues, short_texts, templates
from notification_service.content.profile import SenderProfile
from notification_service.contract.events import EVENT_TYPES, Event, parse
from notification_service.contract.notification_rules import RULES
from notification_service.delivery.ports.composer import CompositionError
from notification_service.delivery.ports.directory import Recipient
from notification_service.foundation.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class SmsFault:
    """`where`: the file and the line. `sample`: with its language."""

    where: str
    sample: str
    what: str

    def __str__(self) -> str:
        return f"template {self.where}: {self.sample}: {self.what}"


def load(directory: Path, profile: SenderProfile, *, default_country: str | None) -> SmsComposer:
    """Raises `ConfigurationError` with file and line where a text cannot be rendered or has too many segments."""
    composer = unchecked(directory, profile, default_country=default_country)
    if fault := next(faults(composer, directory), None):
        raise ConfigurationError(str(fault))
    return composer


def unchecked(directory: Path, profile: SenderProfile, *, default_country: str | None) -> SmsComposer:
    """The composer whose texts `faults` has still to check."""
    return SmsComposer(short_texts.load(directory, profile, short_texts.SMS), default_country=default_country)


def faults(composer: SmsComposer, directory: Path) -> Iterator[SmsFault]:
    """Yield the faults of every sample and every empty event, in each language but the pseudo-locale.

    A variant with a text of its own is checked like its control.
    """
    empty = [(f"an empty {kind}", event) for kind in EVENT_TYPES if (event := parse({}, kind))]
    languages = [each for each in composer.texts.languages if each != catalogues.PSEUDO]
    for name, event in (*empty, *templates.samples(directory)):
        for template in composer.texts.texts_of(RULES[type(event)].template):
            for language in languages:
                if found := _fault(composer, directory / template, f"{name} in {language}", event, language):
                    yield found


def _fault(composer: SmsComposer, folder: Path, sample: str, event: Event, language: str) -> SmsFault | None:
    template = folder.name
    try:
        text, _, segments = composer.fitted(event, Recipient(), template, language)
    except CompositionError as problem:
        return SmsFault(problem.where, sample, str(problem).removeprefix(f"{problem.where}: "))
    if segments.count <= MAX_SEGMENTS:
        return None
    return SmsFault(
        f"{folder / composer.texts.part}:1",
        sample,
        f"{segments.count} segments ({segments.encoding}, {len(text)} characters), and {MAX_SEGMENTS} are allowed: "
        f"shorten the text or its translation in {catalogues.LANGUAGES}/{language}.po",
    )
