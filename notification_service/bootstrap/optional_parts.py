"""Parts that a setting switches on: suppressions, what handles signals, and tracing. What is off is not imported."""

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from notification_service.delivery.observer import Observer
from notification_service.foundation.errors import ConfigurationError
from notification_service.observability.metrics import Metrics
from notification_service.settings import Settings
from notification_service.stores.mongo import client as mongo
from notification_service.stores.mongo.client import GroupedReads

if TYPE_CHECKING:
    from notification_service.bootstrap.feedback import SignalIntake
    from notification_service.stores.mongo.suppressions import MongoSuppressions


def suppressions(settings: Settings, database: mongo.Database, reads: GroupedReads) -> "MongoSuppressions | None":
    if not settings.suppression:
        return None
    from notification_service.records import suppression_list  # noqa: PLC0415 - imported where it is on

    return suppression_list.of(settings, database, reads)


def signals(
    settings: Settings, database: mongo.Database, listed: "MongoSuppressions | None", metrics: Metrics
) -> "SignalIntake | None":
    if not settings.feedback.enabled:
        return None
    # Imported here: a service without feedback does not need it.
    from notification_service.bootstrap import feedback  # noqa: PLC0415
    from notification_service.feedback.suppression import SuppressionHandler  # noqa: PLC0415

    handlers = [SuppressionHandler(listed, metrics.refused_by_policy)] if listed else []
    return feedback.signal_intake(settings, database, metrics.signalled, handlers)


def observer(settings: Settings, metrics: Observer, stack: AsyncExitStack) -> Observer:
    """The metrics, and spans if tracing is on. Raises `ConfigurationError` if the extra for tracing is missing."""
    endpoint = settings.service.tracing_endpoint
    if endpoint is None:
        return metrics
    try:
        from notification_service.observability import tracing  # noqa: PLC0415 - an extra, which may be missing
    except ImportError as problem:
        raise ConfigurationError(
            f"TRACING_ENDPOINT needs the extra: pip install 'notification-service[tracing]' ({problem})"
        ) from problem
    spans = tracing.Tracing(metrics, tracing.exporter(endpoint))
    stack.push_async_callback(asyncio.to_thread, spans.close)
    return spans
