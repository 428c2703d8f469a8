"""Loads the texts of push, and renders every sample in every language: what is wrong or too long stops the start."""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path

from notification_service.channels.push.composer import MAX_BODY, MAX_TITLE, PushComposer
from notification_service.channels.push.devices import PushService
from notification_service.content import catalogues, short_texts
from notification_service.content.profile import SenderProfile
from notification_service.content.short_texts import TextFault, Trial
from notification_service.contract.devices import Device
from notification_service.delivery.ports.composer import CompositionError, MessageIds
from notification_service.delivery.ports.directory import Recipient
from notification_service.foundation.errors import ConfigurationError

_SAMPLE_DEVICES = (Device("0" * 64), Device("fcm-token-of-a-sample-device-000000"))


def load(directory: Path, profile: SenderProfile, services: Collection[PushService]) -> PushComposer:
    """Raises `ConfigurationError` with file and line where a text cannot be rendered or is too long."""
    composer = unchecked(directory, profile, services)
    if fault := next(faults(composer, directory), None):
        raise ConfigurationError(str(fault))
    return composer


def unchecked(directory: Path, profile: SenderProfile, services: Collection[PushService]) -> PushComposer:
    """The composer whose texts `faults` has still to check."""
    return PushComposer(short_texts.load(directory, profile, short_texts.PUSH), services)


def faults(composer: PushComposer, directory: Path) -> Iterator[TextFault]:
    """Yield what is wrong with a text, or too long."""
    for trial in composer.texts.trials(directory):
        if found := _fault(composer, directory / trial.template / composer.texts.part, trial):
            yield TextFault(found[0], trial.sample, found[1])


def _fault(composer: PushComposer, path: Path, trial: Trial) -> tuple[str, str] | None:
    """Where the fault is, and what it is."""
    ids = MessageIds("0" * 64, "", trial.template, trial.event.booking_id, datetime.now(UTC))
    try:
        message = composer.compose(trial.event, Recipient(device_tokens=_SAMPLE_DEVICES), ids, trial.language)
    except CompositionError as problem:
        return problem.where, str(problem).removeprefix(f"{problem.where}: ")
    shorten = f"shorten the text or its translation in {catalogues.LANGUAGES}/{trial.language}.po"
    if len(message.title) > MAX_TITLE:
        return f"{path}:1", f"the title has {len(message.title)} characters, and {MAX_TITLE} are allowed: {shorten}"
    if len(message.body) > MAX_BODY:
        return f"{path}:2", f"the body has {len(message.body)} characters, and {MAX_BODY} are allowed: {shorten}"
    return None
