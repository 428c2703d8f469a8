"""The other way in: a mailbox that reports come to, read once or again and again."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import structlog

from notification_service import service
from notification_service.broker.signal_queue import SignalPublisher
from notification_service.contract.signals import Signal
from notification_service.feedback import signal_messages
from notification_service.feedback.maildir import Maildir, MaildirCounts
from notification_service.feedback.return_path import ReturnPath
from notification_service.foundation.errors import ConfigurationError, DependencyError
from notification_service.settings import Settings

log = structlog.get_logger(__name__)

_INTERVAL_S = 10.0


async def read(settings: Settings, folder: Path) -> MaildirCounts:
    """Read what was not seen yet. Raises `ConfigurationError`, and `DependencyError` where nothing can be stored."""
    publisher = SignalPublisher(settings.rabbitmq.url.get_secret_value(), "reading bounces")

    async def publish(signals: Sequence[Signal]) -> None:
        await publisher.publish([signal_messages.written(each) for each in signals])

    try:
        return await Maildir(folder).take(_return_path(settings), publish)
    finally:
        await publisher.close()


async def watch(settings: Settings, folder: Path, interval_s: float = _INTERVAL_S) -> None:
    """Look again and again until SIGTERM or SIGINT, through outages of the broker. Raises `ConfigurationError`."""
    stop = service.stop_on_signals()
    while not stop.is_set():
        try:
            counts = await read(settings, folder)
        except DependencyError as problem:
            log.warning("bounces.waits", problem=str(problem))
        else:
            if counts.mails:
                log.info("bounces.read", **asdict(counts))
        await asyncio.wait({waiting := asyncio.create_task(stop.wait())}, timeout=interval_s)
        waiting.cancel()


def _return_path(settings: Settings) -> ReturnPath:
    """Raises `ConfigurationError`."""
    domain = settings.feedback.return_path_domain
    if domain is None:
        raise ConfigurationError(
            "RETURN_PATH_DOMAIN is not set: mails go out under one envelope sender, and no report can be told from a "
            "forged one"
        )
    return ReturnPath(settings.tracking.token_keys, domain)
