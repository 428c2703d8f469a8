"""Loads the texts of SMS, and renders every sample in every language: what is wrong or too long stops the start."""

from collections.abc import Iterator
from pathlib import Path

from notification_service.channels.sms.composer import MAX_SEGMENTS, SmsComposer
from notification_service.content import catalogues, short_texts
from notification_service.content.profile import SenderProfile
from notification_service.content.short_texts import TextFault, Trial
from notification_service.delivery.ports.composer import CompositionError
from notification_service.delivery.ports.directory import Recipient
from notification_service.foundation.errors import ConfigurationError


def load(directory: Path, profile: SenderProfile, *, default_country: str | None) -> SmsComposer:
    """Raises `ConfigurationError` with file and line where a text cannot be rendered or has too many segments."""
    composer = unchecked(directory, profile, default_country=default_country)
    if fault := next(faults(composer, directory), None):
        raise ConfigurationError(str(fault))
    return composer


def unchecked(directory: Path, profile: SenderProfile, *, default_country: str | None) -> SmsComposer:
    """The composer whose texts `faults` has still to check."""
    return SmsComposer(short_texts.load(directory, profile, short_texts.SMS), default_country=default_country)


def faults(composer: SmsComposer, directory: Path) -> Iterator[TextFault]:
    """Yield what is wrong with a text, or too long."""
    return filter(None, (_fault(composer, directory, trial) for trial in composer.texts.trials(directory)))


def _fault(composer: SmsComposer, directory: Path, trial: Trial) -> TextFault | None:
    try:
        text, _, segments = composer.fitted(trial.event, Recipient(), trial.template, trial.language)
    except CompositionError as problem:
        return TextFault(problem.where, trial.sample, str(problem).removeprefix(f"{problem.where}: "))
    if segments.count <= MAX_SEGMENTS:
        return None
    return TextFault(
        f"{directory / trial.template / composer.texts.part}:1",
        trial.sample,
        f"{segments.count} segments ({segments.encoding}, {len(text)} characters), and {MAX_SEGMENTS} are allowed: "
        f"shorten the text or its translation in {catalogues.LANGUAGES}/{trial.language}.po",
    )
