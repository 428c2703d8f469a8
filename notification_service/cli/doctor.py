"""`doctor`: checks each setting and each dependency, and says how to fix what is wrong."""

import asyncio
import errno
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from notification_service import bootstrap
from notification_service.bootstrap import further_channels
from notification_service.broker import delivery_limits, lenient_decoding
from notification_service.broker.delivery_limits import Fate
from notification_service.broker.lenient_decoding import LOST
from notification_service.channels import outbox
from notification_service.channels.email.smtp import sending_services
from notification_service.channels.outbox import FileOutbox
from notification_service.cli import env_file
from notification_service.cli.configuration import command_settings
from notification_service.cli.options import AsJson
from notification_service.cli.terminal import say_item, say_json
from notification_service.contract.variants import Experiment, Variant, variant_name
from notification_service.delivery.ports.experiments import RegisteredExperiment, UnreadableRegisterError
from notification_service.foundation.errors import (
    EXIT_UNAVAILABLE,
    ChannelUnavailableError,
    ConfigurationError,
    DependencyError,
    StoreUnavailableError,
)
from notification_service.foundation.secret_redaction import Secrecy
from notification_service.settings import Settings, plain
from notification_service.stores.mongo import client as mongo
from notification_service.stores.mongo.experiments import MongoExperiments
from notification_service.stores.mongo.ledger import MongoLedger
from notification_service.stores.redis import client as redis
from notification_service.stores.redis.claims import RedisClaims

ENV_FILE = Path(".env")
ANY_WEBHOOK = "SES_TOPICS, SENDGRID_WEBHOOK_KEYS, MAILGUN_WEBHOOK_KEYS or POSTMARK_WEBHOOK_LOGINS"


@dataclass(frozen=True, slots=True)
class CheckResult:
    what: str
    ok: bool
    detail: str


class _Wrong(Exception):  # noqa: N818 - a finding, not an error
    """What is wrong, and what to do."""


def command(*, as_json: AsJson = False) -> None:
    """Check every setting and server, and say how to fix what is wrong.

    Exit 69 if anything is wrong.
    """
    found = asyncio.run(_results(command_settings(), silent=as_json))
    if as_json:
        say_json({"findings": [asdict(each) for each in found]})
    if not all(each.ok for each in found):
        raise typer.Exit(EXIT_UNAVAILABLE)


async def _results(settings: Settings, *, silent: bool) -> list[CheckResult]:
    found = []
    async for each in examine(settings):
        found.append(each)
        if not silent:
            mark, style = ("ok   ", "green") if each.ok else ("WRONG", "red")
            say_item(mark, f"{each.what}: {each.detail}", style)
    return found


async def examine(settings: Settings) -> AsyncGenerator[CheckResult, None]:
    checks: tuple[tuple[str, Callable[[Settings], Awaitable[str]]], ...] = (
        (str(ENV_FILE), _env_file),
        ("templates", _templates),
        ("mail programs", _mail_programs),
        ("feedback", _feedback),
        ("outbox", _outbox),
        ("RabbitMQ", _rabbitmq),
        ("RabbitMQ's delivery limits", _delivery_limits),
        ("Redis", _redis),
        ("MongoDB", _mongodb),
        (settings.transport, _transport),
        *([(f"{settings.transport} fallback", _fallback)] if settings.fallback.server else []),
        *([("SMS", further_channels.check_sms)] if settings.sms.provider else []),
        *([("push", further_channels.check_push)] if settings.push.providers else []),
        *([("test of two variants", _experiment)] if settings.service.experiment else []),
    )
    hide = Secrecy(settings.secrets())
    for what, check in checks:
        try:
            yield CheckResult(what, ok=True, detail=hide.text(await check(settings)))
        except (_Wrong, ConfigurationError, ChannelUnavailableError) as problem:
            yield CheckResult(what, ok=False, detail=hide.text(str(problem)))


async def _env_file(_: Settings) -> str:
    try:
        found = await asyncio.to_thread(env_file.doubts, ENV_FILE)
    except FileNotFoundError:
        return "no .env file in this folder: settings come from the environment"
    doubts = "; ".join(map(str, found))
    if any(doubt.lost for doubt in found):
        raise _Wrong(doubts)
    return f"can be read, but {doubts}" if found else "can be read; Docker Compose reads the same values"


async def _templates(settings: Settings) -> str:
    optional = bootstrap.load_renderer(settings).optional_templates
    bootstrap.reader_links(settings, optional)
    told = f"all render, from {bootstrap.templates_directory(settings)}"
    if not optional:
        return told
    return (
        f"{told}; readers may unsubscribe from {', '.join(sorted(optional))}: the relay's DKIM signature has to cover "
        "List-Unsubscribe and List-Unsubscribe-Post (RFC 8058), or mailbox providers show no button"
    )


async def _mail_programs(settings: Settings) -> str:
    return read_by_mail_programs(settings)


def read_by_mail_programs(settings: Settings) -> str:
    """What calendars and travel programs read in a mail, and which setting would add the rest."""
    service = settings.service
    zone = service.default_time_zone or any(cinema.time_zone for cinema in service.cinemas.values())
    address = any(cinema.address for cinema in service.cinemas.values())
    if not zone:
        return (
            "read no calendar file and no reservation where an event names no time zone: DEFAULT_TIME_ZONE, such as "
            "Europe/Madrid, adds the calendar file"
            + ("" if address else ", and with it an address in CINEMAS the reservation")
        )
    if not address:
        return "read the calendar file, and no reservation: an address in CINEMAS adds it for that cinema"
    return "read the calendar file and the reservation"


async def _feedback(settings: Settings) -> str:
    return heard_of_mails(settings)


def heard_of_mails(settings: Settings) -> str:
    """What becomes known of a mail after the server took it, what follows from it, and which setting would add it."""
    feedback = settings.feedback
    if not (feedback.has_webhooks or feedback.return_path_domain):
        service = sending_services.find(settings.smtp.host)
        turns_on = service.webhook_setting if service else f"{ANY_WEBHOOK}, or RETURN_PATH_DOMAIN for a mailbox,"
        heard = (
            "bounces and complaints that come after the server took a mail are not heard: "
            f"{turns_on} turns that on (docs/feedback.md)"
        )
    else:
        heard = "bounces and complaints are heard, where `callbacks` or `bounces` runs"
    if settings.suppression:
        return f"{heard}; an address that is gone or complained is written to no more"
    if feedback.enabled:
        return f"{heard}; SUPPRESSION=false: an address that is gone or complained is written to again all the same"
    return (
        f"{heard}, and SUPPRESSION with it; until then an address that the server refuses is written to again by the "
        "next event, unless SUPPRESSION=true"
    )


async def _outbox(settings: Settings) -> str:
    """Test an existing folder. A missing one is not created: the user of this command would own it, not the service."""
    folder = settings.service.outbox_dir
    try:
        await asyncio.to_thread(_try_outbox, folder)
    except OSError as problem:
        raise bootstrap.unusable_outbox("OUTBOX_DIR", folder, problem) from problem
    if outbox.open_to_others(folder):
        return (
            f"{folder} can be written to; other users can read the mails in it that older versions wrote: "
            f"chmod -R go= {folder}"
        )
    return f"{folder} can be written to"


def _try_outbox(folder: Path) -> None:
    existing = next(each for each in (folder, *folder.absolute().parents) if os.path.lexists(each))
    if existing == folder:
        FileOutbox(folder).check()
    elif not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, f"it cannot be created in {existing}")


async def _rabbitmq(settings: Settings) -> str:
    rabbit = settings.rabbitmq
    try:
        connection = await lenient_decoding.connect(rabbit.url.get_secret_value(), timeout=5)
    except LOST as problem:
        raise _Wrong(f"RABBITMQ_URL: {_name(problem)}: is the broker up, and are user and vhost right?") from problem
    async with connection:
        found = []
        for queue in (rabbit.booking_queue, rabbit.payment_queue):
            try:
                async with connection.channel() as channel:
                    declared = await channel.declare_queue(queue, passive=True)
                    found.append(f"{queue} exists with {declared.declaration_result.message_count} messages")
            except LOST:
                found.append(f"{queue} is missing and will be created")
    return "; ".join(found)


async def _delivery_limits(settings: Settings) -> str:
    rabbit = settings.rabbitmq
    try:
        found = await delivery_limits.examine(
            rabbit.url.get_secret_value(), (rabbit.booking_queue, rabbit.payment_queue), plain(rabbit.management_url)
        )
    except DependencyError:
        return "not checked: RabbitMQ does not answer"
    texts = "; ".join(each.text for each in found)
    if any(each.fate is Fate.DROPPED for each in found):
        raise _Wrong(texts)
    return texts or "no queue drops events that are redelivered often"


async def _redis(settings: Settings) -> str:
    client = redis.connect(settings.redis.url.get_secret_value())
    try:
        certain = await RedisClaims(client, lease_seconds=1, verdict_seconds=1).certain()
    except StoreUnavailableError as problem:
        raise _Wrong(f"REDIS_URL: {problem}: until it answers, only MongoDB prevents duplicate mails") from problem
    finally:
        await client.aclose()
    if certain:
        return "answers"
    return (
        "answers, but hides INFO from scripts: give its user +info, or the mails of a lost worker are always marked "
        "possible_duplicate"
    )


async def _mongodb(settings: Settings) -> str:
    uri, name = settings.mongodb.uri.get_secret_value(), settings.mongodb.database
    async with mongo.open_database(uri, name) as database:
        try:
            await MongoLedger(database, settings.mongodb.collection, full_recipients=True).ping()
        except StoreUnavailableError as problem:
            raise _Wrong(f"MONGODB_URI: {problem}: no mail is sent without the ledger") from problem
    return f"answers; records go to {settings.mongodb.database}.{settings.mongodb.collection}"


async def _transport(settings: Settings) -> str:
    if not settings.live:
        return f"not used, mail is simulated: {settings.unconfigured or 'DELIVERY_MODE=simulate'}"
    if settings.fallback.server:
        return await _relay(settings, 0)
    channel = bootstrap.transport(settings)
    try:
        return await channel.check()
    finally:
        await channel.close()


async def _fallback(settings: Settings) -> str:
    return await _relay(settings, 1) if settings.live else "not used, mail is simulated"


async def _relay(settings: Settings, which: int) -> str:
    """Connect, log in, and ask for FROM_EMAIL, which both relays have to take."""
    relays = bootstrap.relays(settings)
    try:
        relay = relays[which]
        return f"{await relay.check()}; {await relay.check_sender(settings.sender_address or '')}"
    finally:
        for each in relays:
            await each.close()


async def _experiment(settings: Settings) -> str:
    experiment = settings.service.experiment
    if experiment is None:
        return "none is set"
    async with mongo.open_database(settings.mongodb.uri.get_secret_value(), settings.mongodb.database) as database:
        try:
            known = await MongoExperiments(database).read(experiment.salt)
        except StoreUnavailableError:
            return "not checked: MongoDB does not answer, and everybody gets the control until it does"
        except UnreadableRegisterError as problem:
            raise _Wrong(
                f"everybody gets the control: the register of tests cannot be read ({problem}): restore the document "
                "'experiments' of notification_facts from a backup, or remove it and choose a new salt"
            ) from problem
    return state_of_test(experiment, known)


def state_of_test(experiment: Experiment, known: RegisteredExperiment | None) -> str:
    """Since when the test of the settings runs. `known`: what the register has under its salt.

    Raises `ConfigurationError` where everybody gets the control, or the service does not start.
    """
    if known is None:
        return f"{experiment} begins with the next start of the service"
    if known.experiment != experiment:
        raise ConfigurationError(
            f"EXPERIMENT={experiment}: the salt was used for {known.experiment} before, so the service does not start: "
            "choose a new one"
        )
    if known.stopped_at:
        raise ConfigurationError(
            f"everybody gets the control: it stopped at {known.stopped_at:%Y-%m-%d %H:%M} UTC ({known.stop_reason}): "
            f"mend templates/{variant_name(experiment.template, Variant.B)} and start under a new salt, or take "
            "EXPERIMENT out of the settings"
        )
    return f"{experiment} runs since {known.started_at:%Y-%m-%d %H:%M} UTC; `experiment report` says what it has shown"


def _name(problem: BaseException) -> str:
    return f"{type(problem).__name__}: {problem}"
