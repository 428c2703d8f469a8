"""Builds the channels beside e-mail that the settings switch on. What is off is not even imported."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from notification_service.bootstrap.composing import profile, templates_directory
from notification_service.bootstrap.parts import ChannelParts
from notification_service.channels.outbox import FileOutbox
from notification_service.channels.simulated import SimulatedChannel
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.events import EVENT_TYPES
from notification_service.delivery.ports.channel import LookUp, Transport
from notification_service.delivery.rate_limits import RateLimits
from notification_service.foundation.errors import ConfigurationError
from notification_service.settings import ReaderSettings, Settings, SmsProvider

if TYPE_CHECKING:
    from notification_service.channels.push.composer import PushComposer
    from notification_service.channels.sms.composer import SmsComposer
    from notification_service.channels.sms.cost_meter import CostMeter
    from notification_service.channels.sms.prices import Prices

log = structlog.get_logger(__name__)

_ANSWERS = {
    "booking.confirmed": ("booking.cancelled",),
    "booking.cancelled": ("booking.confirmed",),
    "booking.refunded": ("booking.confirmed",),
    "payment.failed": ("payment.success", "booking.confirmed", "booking.cancelled"),
}
"""The types of events that make messages about a type obsolete, or that complete them."""

_MAX_PUSH_RESENDS = 5
"""A further one has the tag of those before it and replaces them on the screen, so that it disturbs nobody."""


def configured(settings: Settings) -> tuple[ChannelParts, ...]:
    """The parts of each further channel that is switched on. Raises `ConfigurationError`."""
    sms = [_sms(settings)] if settings.sms.provider else []
    push = [_push(settings)] if settings.push.providers else []
    return (*sms, *push)


def live(settings: Settings, channel: ChannelKind) -> ChannelParts:
    """The parts of one further channel that sends. Raises `ConfigurationError` where it would send nothing, and why."""
    sms = channel is ChannelKind.SMS
    setting, chosen = ("SMS_PROVIDER", settings.sms.provider) if sms else ("PUSH_PROVIDERS", settings.push.providers)
    if not chosen:
        raise ConfigurationError(f"{setting} is not set: choose who sends, and set its login")
    if not (settings.sms_live if sms else settings.push_live):
        missing = settings.sms_missing if sms else settings.push_missing
        raise ConfigurationError(
            missing or "DELIVERY_MODE=simulate sends nothing: set DELIVERY_MODE=live or leave it out"
        )
    return _sms(settings) if sms else _push(settings)


def event_types(settings: Settings) -> Mapping[ChannelKind, tuple[str, ...]]:
    """The types of the events that each further channel has a record of, for `reconcile`."""
    sms = {ChannelKind.SMS: with_answers(settings.sms.events)} if settings.sms.provider else {}
    push = {ChannelKind.PUSH: with_answers(settings.push.events)} if settings.push.providers else {}
    return {**sms, **push}


def with_answers(chosen: tuple[str, ...]) -> tuple[str, ...]:
    """The chosen types, and those that a channel has to know of so that it sends nothing obsolete."""
    known = {each for name in chosen for each in (name, *_ANSWERS.get(name, ()))}
    return tuple(each for each in EVENT_TYPES if each in known)


def sms_composer(settings: Settings) -> "SmsComposer":
    """Raises `ConfigurationError` with file and line where a text is wrong or needs more than two segments."""
    from notification_service.channels.sms.template_loading import load  # noqa: PLC0415 - only where SMS is switched on

    _check_countries("SMS_DEFAULT_COUNTRY", filter(None, [settings.sms.default_country]))
    return load(templates_directory(settings), profile(settings), default_country=settings.sms.default_country)


def _check_countries(setting: str, names: Iterable[str]) -> None:
    """Raises `ConfigurationError` where one has no phone numbers: nobody's number would be of it."""
    from notification_service.channels.sms.numbers import is_country  # noqa: PLC0415 - only where SMS is switched on

    if unknown := [name for name in names if not is_country(name)]:
        raise ConfigurationError(
            f"{setting} names {unknown[0]}, which is no country with phone numbers: write its two letters of ISO 3166, "
            "such as GB for the United Kingdom"
        )


def sms_prices(settings: Settings) -> "Prices":
    """Raises `ConfigurationError`."""
    from notification_service.channels.sms.prices import Prices  # noqa: PLC0415 - only where SMS is switched on

    _check_countries("SMS_PRICES", settings.sms.prices)
    return Prices(dict(settings.sms.prices), settings.sms.max_price)


async def check_sms(settings: Settings) -> str:
    """Ask the provider of SMS, without sending, and say what a day costs at most.

    Raises `ConfigurationError` and `ChannelUnavailableError`.
    """
    from notification_service.bootstrap import sms_transports  # noqa: PLC0415 - only where SMS is switched on
    from notification_service.channels.sms.composer import MAX_SEGMENTS  # noqa: PLC0415 - as above

    prices = sms_prices(settings)
    day = prices.of_a_day(settings.sms.max_per_day or 0, MAX_SEGMENTS)
    composer = sms_composer(settings)
    _check_texts(settings.sms.events, composer.texts.names, "sms.txt", "SMS_EVENTS", templates_directory(settings))
    day = "; ".join((day, *_readers(settings, settings.sms)))
    if not settings.sms_live:
        return f"SMS are simulated: {settings.sms_missing or 'DELIVERY_MODE=simulate'}; {day}"
    by_twilio = settings.sms.provider is SmsProvider.TWILIO
    transport = sms_transports.twilio(settings, prices) if by_twilio else sms_transports.sns(settings, prices)
    try:
        return f"{await transport.check()}; {day}"
    finally:
        await transport.close()


async def check_push(settings: Settings) -> str:
    """Log in to the services of push, without sending. Raises `ConfigurationError` and `ChannelUnavailableError`."""
    composer = push_composer(settings)
    _check_texts(settings.push.events, composer.texts.names, "push.txt", "PUSH_EVENTS", templates_directory(settings))
    more = "".join(f"; {each}" for each in _readers(settings, settings.push))
    if not settings.push_live:
        return f"push is simulated: {settings.push_missing or 'DELIVERY_MODE=simulate'}{more}"
    from notification_service.bootstrap import push_transports  # noqa: PLC0415 - only where it is used

    transport = push_transports.transport(settings)
    try:
        return f"{await transport.check()}{more}"
    finally:
        await transport.close()


def _readers(settings: Settings, reader: ReaderSettings) -> Iterator[str]:
    """What the channel owes its readers, as it is set."""
    if hours := reader.quiet_hours:
        yield f"quiet from {hours.begin:%H:%M} to {hours.end:%H:%M} by the clock at the show's place" + (
            ""
            if settings.service.default_time_zone
            else ", and not at all where an event names no time zone: DEFAULT_TIME_ZONE"
        )
    if reader.consent_field:
        unknown = "nothing goes to" if reader.consent_required else "messages go to"
        yield f"users.{reader.consent_field} says who agrees, and {unknown} who has not said"


def push_faults(settings: Settings) -> list[tuple[str, str]]:
    """What is wrong with the texts of push, each with its file and line, whether or not push is switched on."""
    from notification_service.channels.push import template_loading  # noqa: PLC0415 - `template check` alone asks for it
    from notification_service.channels.push.devices import PushService  # noqa: PLC0415 - as above

    directory = templates_directory(settings)
    composer = template_loading.unchecked(directory, profile(settings), tuple(PushService))
    return [(each.where, f"{each.sample}: {each.what}") for each in template_loading.faults(composer, directory)]


def sms_faults(settings: Settings) -> list[tuple[str, str]]:
    """What is wrong with the texts of SMS, each with its file and line, whether or not SMS is switched on."""
    from notification_service.channels.sms import template_loading  # noqa: PLC0415 - `template check` alone asks for it

    directory = templates_directory(settings)
    composer = template_loading.unchecked(directory, profile(settings), default_country=None)
    return [(each.where, f"{each.sample}: {each.what}") for each in template_loading.faults(composer, directory)]


def _sms(settings: Settings) -> ChannelParts:
    composer, chosen = sms_composer(settings), settings.sms.events
    _check_texts(chosen, composer.texts.names, "sms.txt", "SMS_EVENTS", templates_directory(settings))
    transport, look_up = _sms_transport(settings)
    meter = _meter(settings, transport) if settings.sms_live else None
    return ChannelParts(
        composer,
        meter or transport,
        with_answers(chosen),
        settings.sms.max_concurrency,
        chosen=chosen,
        look_up=meter.metered(look_up) if meter and look_up else look_up,
        max_resends=0 if settings.sms.provider is SmsProvider.SNS and settings.sns.unknown_hold else 1,
        rate_limits=RateLimits(
            sms_per_day=settings.sms.max_per_day or 0,
            sms_per_number_hour=settings.sms.recipient_per_hour or 0,
            grain=min(settings.service.retry_rungs) + 1,
        ),
        meter=meter,
    )


def _meter(settings: Settings, transport: Transport) -> "CostMeter":
    from notification_service.channels.sms.composer import MAX_SEGMENTS  # noqa: PLC0415 - only where SMS is switched on
    from notification_service.channels.sms.cost_meter import CostMeter, not_counted  # noqa: PLC0415 - as above

    prices = sms_prices(settings)
    return CostMeter(transport, prices, prices.day_limit(settings.sms.max_per_day or 0, MAX_SEGMENTS), not_counted)


def _sms_transport(settings: Settings) -> tuple[Transport, LookUp | None]:
    if not settings.sms_live:
        _log_simulated("sms", settings.sms_missing)
        return SimulatedChannel(FileOutbox(settings.service.outbox_dir), str(settings.sms.provider)), None
    match settings.sms.provider:
        case SmsProvider.TWILIO:
            from notification_service.bootstrap import sms_transports  # noqa: PLC0415 - only where it is used

            twilio = sms_transports.twilio(settings, sms_prices(settings))
            return twilio, twilio.look_up
        case SmsProvider.SNS:
            from notification_service.bootstrap import sms_transports  # noqa: PLC0415 - as above

            return sms_transports.sns(settings, sms_prices(settings)), None
        case None:
            raise ConfigurationError("SMS_PROVIDER is not set")


def push_composer(settings: Settings) -> "PushComposer":
    """Raises `ConfigurationError` with file and line where a text is wrong or too long."""
    from notification_service.channels.push.devices import PushService  # noqa: PLC0415 - only where push is switched on
    from notification_service.channels.push.template_loading import load  # noqa: PLC0415

    services = [PushService(each) for each in settings.push.providers]
    return load(templates_directory(settings), profile(settings), services)


def _push(settings: Settings) -> ChannelParts:
    composer, chosen = push_composer(settings), settings.push.events
    _check_texts(chosen, composer.texts.names, "push.txt", "PUSH_EVENTS", templates_directory(settings))
    return ChannelParts(
        composer,
        _push_transport(settings),
        with_answers(chosen),
        settings.push.max_concurrency,
        chosen=chosen,
        rate_limits=RateLimits(
            push_per_person_hour=settings.push.recipient_per_hour or 0,
            push_per_minute=settings.push.max_per_minute or 0,
            grain=min(settings.service.retry_rungs) + 1,
        ),
        max_resends=_MAX_PUSH_RESENDS,
    )


def _push_transport(settings: Settings) -> Transport:
    if not settings.push_live:
        _log_simulated("push", settings.push_missing)
        return SimulatedChannel(FileOutbox(settings.service.outbox_dir), "+".join(sorted(settings.push.providers)))
    from notification_service.bootstrap import push_transports  # noqa: PLC0415 - only where it is used

    return push_transports.transport(settings)


def _log_simulated(channel: str, missing: str | None) -> None:
    log.warning(
        "channel.simulated",
        channel=channel,
        reason=missing or "DELIVERY_MODE=simulate",
        meaning="NOTHING IS SENT by this channel: every message is written to the outbox",
    )


def _check_texts(chosen: tuple[str, ...], names: tuple[str, ...], part: str, setting: str, templates: Path) -> None:
    """Raises `ConfigurationError` where a chosen event has no text for the channel."""
    from notification_service.contract import events, notification_rules  # noqa: PLC0415 - as the others here

    for event_type in chosen:
        template = notification_rules.RULES[events.MODELS[event_type]].template
        if template not in names:
            raise ConfigurationError(
                f"{setting} names {event_type}, and {templates / template / part} is missing: write it, or take the "
                "type out of the setting"
            )
