"""The pipeline of SMS and of push with in-memory stores around it."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from notification_service import bootstrap
from notification_service.channels.push import template_loading as push_loading
from notification_service.channels.push.composer import PushComposer
from notification_service.channels.push.devices import PushService
from notification_service.channels.sms import template_loading as sms_loading
from notification_service.channels.sms.composer import SmsComposer
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.delivery.jobs import Jobs
from notification_service.delivery.leases import Leases
from notification_service.delivery.observer import NoObserver
from notification_service.delivery.pipeline import Pipeline
from notification_service.delivery.poison_guard import PoisonGuard
from notification_service.delivery.policy import Policy
from notification_service.delivery.ports.channel import OutgoingMessage
from notification_service.delivery.ports.directory import Recipient
from notification_service.delivery.retries import RetrySchedule
from notification_service.delivery.settlements import Done, Park, Retry
from notification_service.delivery.state import DeliveryState
from notification_service.delivery.suppression_check import ListCheck
from notification_service.settings import load
from notification_service.stores.memory.claims import MemoryClaims
from notification_service.stores.memory.directory import MemoryDirectory
from notification_service.stores.memory.ledger import MemoryLedger, Record
from notification_service.stores.memory.rates import MemoryRates
from tests.samples import sample
from tests.unit.fakes import LARGEST, TEMPLATES, ScriptedChannel, Step, inbound

NUMBER = "+4915112345678"


@cache
def sms() -> SmsComposer:
    return sms_loading.load(TEMPLATES, bootstrap.profile(load(None)), default_country=None)


@cache
def push() -> PushComposer:
    return push_loading.load(TEMPLATES, bootstrap.profile(load(None)), tuple(PushService))


class Held(NoObserver):
    """Remembers by which setting a message was held back."""

    def __init__(self) -> None:
        self.by: list[tuple[str, str]] = []

    def held_back(self, channel: str, setting: str) -> None:
        self.by.append((channel, setting))


class Phones:
    """`after`: an earlier worker, with whose stores it goes on. `people`: users by id."""

    def __init__(
        self,
        kind: ChannelKind = ChannelKind.SMS,
        steps: Iterable[Step] = (),
        *,
        after: "Phones | None" = None,
        composer: SmsComposer | PushComposer | None = None,
        people: Mapping[str, Recipient] | None = None,
        suppression: ListCheck | None = None,
        **policy: Any,  # noqa: ANN401 - the fields of `Policy`
    ) -> None:
        composer = composer or (sms() if kind is ChannelKind.SMS else push())
        self.claims: MemoryClaims = after.claims if after else MemoryClaims(30)
        self.ledger: MemoryLedger = after.ledger if after else MemoryLedger()
        self.observer = Held()
        self.channel = ScriptedChannel(steps)
        leases = Leases(self.claims, 30)
        self.pipeline = Pipeline(
            state=DeliveryState(self.claims, self.ledger, leases, MemoryRates()),
            leases=leases,
            directory=MemoryDirectory(people or {}, {"B-1": "user456"}),
            composer=composer,
            channel=self.channel,
            outbox=_NoOutbox(),
            policy=Policy(RetrySchedule(2, (5, 3600)), LARGEST, composer.texts.zone, **policy),
            jobs=Jobs(),
            poison_guard=PoisonGuard(self.claims),
            observer=self.observer,
            suppression=suppression,
        )

    async def handle(self, kind: str = "booking.cancelled", **changes: Any) -> Done | Park | Retry:  # noqa: ANN401 - JSON
        more = {name: changes.pop(name) for name in ("attempt", "replay", "unmovable") if name in changes}
        return await self.pipeline.handle(inbound(sample(kind, **changes), **more))

    @property
    def record(self) -> Record:
        (record,) = self.ledger.records.values()
        return record

    @property
    def sent(self) -> list[OutgoingMessage]:
        return self.channel.handed_over


class _NoOutbox:
    async def keep(self, message: OutgoingMessage) -> str:
        return f"outbox/{message.notification_id}"
