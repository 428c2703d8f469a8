"""What handles signals in the worker. Imported only where the settings ask for feedback."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from notification_service.broker.signal_queue import SignalConsumer
from notification_service.delivery.ports.signals import SignalHandler, StoredSignal
from notification_service.feedback.handling import SignalHandling
from notification_service.settings import RecipientRecord, Settings
from notification_service.stores.mongo.client import Database
from notification_service.stores.mongo.signals import MongoSignals


@dataclass(frozen=True, slots=True)
class SignalIntake:
    """The store of signals, and what consumes them."""

    store: MongoSignals
    consumer: SignalConsumer


def signal_intake(
    settings: Settings,
    database: Database,
    observe: Callable[[StoredSignal], None],
    handlers: Sequence[SignalHandler] = (),
) -> SignalIntake:
    """`observe` counts each signal; `handlers` act on those about messages of ours."""
    full = settings.service.record_recipient is RecipientRecord.FULL
    store = MongoSignals(database, settings.mongodb.collection, settings.addresses.plain_keys, full_recipients=full)
    handling = SignalHandling(store, handlers, observe)
    return SignalIntake(store, SignalConsumer(settings.rabbitmq.url.get_secret_value(), handling.take))
