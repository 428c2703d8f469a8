"""Loads the texts of push, and renders every sample in every language: what is wrong or too long stops the start."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from notification_service.channels.push.composer import MAX_BODY, MAX_TITLE, PushComposer
from notification_service.channels.push.devices import PushService
from notification_service.content import catalogues, short_texts, templates
from notification_service.content.profile import SenderProfile
from notification_service.contract.devices import Device
from notification_service.contract.events import EVENT_TYPES, Event, parse
from notification_service.contract.notification_rules import RULES
from notification_service.delivery.ports.composer import CompositionError, MessageIds
from notification_service.delivery.ports.directory import Recipient
from notification_service.foundation.errors import ConfigurationError

_SAMPLE_DEVICES = (Device("0" * 64), Device("fcm-token-of-a-sample-device-000000"))


@dataclass(frozen=True, slots=True)
class PushFault:
    """`where`: the file and the line. `sample`: with its language."""

    where: str
    sample: str
    what: str

    def __str__(self) -> str:
        return f"template {self.where}: {self.sample}: {self.what}"


def load(directory: Path, profile: SenderProfile, services: Collection[PushService]) -> PushComposer:
    """Raises `ConfigurationError` with file and line where a text cannot be rendered or is too long."""
    composer = unchecked(directory, profile, services)
    if fault := next(faults(composer, directory), None):
        raise ConfigurationError(str(fault))
    return composer


def unchecked(directory: Path, profile: SenderProfile, services: Collection[PushService]) -> PushComposer:
    """The composer whose texts `faults` has still to check."""
    return PushComposer(short_texts.load(directory, profile, short_texts.PUSH), services)


def faults(composer: PushComposer, directory: Path) -> Iterator[PushFault]:
    """Yield the faults of every sample and every empty event, in each language but the pseudo-locale.

    A variant with a text of its own is checked like its control.
    """
    empty = [(f"an empty {kind}", event) for kind in EVENT_TYPES if (event := parse({}, kind))]
    languages = [each for each in composer.texts.languages if each != catalogues.PSEUDO]
    for name, event in (*empty, *templates.samples(directory)):
        for template in composer.texts.texts_of(RULES[type(event)].template):
            for language in languages:
                if found := _fault(composer, directory / template, event, language):
                    yield PushFault(found[0], f"{name} in {language}", found[1])


def _fault(composer: PushComposer, folder: Path, event: Event, language: str) -> tuple[str, str] | None:
    """Where the fault is, and what it is."""
    path = folder / composer.texts.part
    ids = MessageIds("0" * 64, "", folder.name, event.booking_id, datetime.now(UTC))
    try:
        message = composer.compose(event, Recipient(device_tokens=_SAMPLE_DEVICES), ids, language)
    except CompositionError as problem:
        return problem.where, str(problem).removeprefix(f"{problem.where}: ")
    shorten = f"shorten the text or its translation in {catalogues.LANGUAGES}/{language}.po"
    if len(message.title) > MAX_TITLE:
        return f"{path}:1", f"the title has {len(message.title)} characters, and {MAX_TITLE} are allowed: {shorten}"
    if len(message.body) > MAX_BODY:
        return f"{path}:2", f"the body has {len(message.body)} characters, and {MAX_BODY} are allowed: {shorten}"
    return None
