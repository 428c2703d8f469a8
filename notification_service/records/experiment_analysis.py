"""What the records of a test say: arms, sample ratio, guardrails, and the effect at every look. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from notification_service.contract.delivery_status import DeliveryStatus
from notification_service.contract.variants import Variant
from notification_service.delivery.ports.experiments import RegisteredExperiment
from notification_service.delivery.ports.ledger import Record
from notification_service.records import experiment_statistics as statistics
from notification_service.records.experiment_statistics import Arm, Interval, SampleRatio

WINDOW = timedelta(hours=48)
"""How long after a message a payment counts as its conversion. A younger exposure is not analysed yet."""

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Exposure:
    """The first message that a unit was sent. `variant`: as assigned. `converted`: paid within `WINDOW`."""

    unit: str
    variant: Variant
    at: datetime
    converted: bool


@dataclass(slots=True)
class Guardrails:
    """Counts of the notifications of one variant, as assigned.

    `fell_back`: sent as the control, because the variant could not be composed. `bounced`: refused at once, or reported
    as not delivered afterwards. `versions`: different contents of the
    template among them.
    """

    notifications: int = 0
    sent: int = 0
    fell_back: int = 0
    template_error: int = 0
    bounced: int = 0
    complaints: int = 0
    parked: int = 0
    versions: set[str] = field(default_factory=set)

    def add(self, record: Record) -> None:
        outcome, status = record.get("outcome"), (record.get("delivery") or {}).get("status")
        self.notifications += 1
        self.sent += outcome == "sent"
        self.fell_back += bool(record.get("fell_back"))
        self.template_error += record.get("reason") == "template_error"
        self.bounced += outcome == "bounced" or status == DeliveryStatus.FAILED
        self.complaints += status == DeliveryStatus.COMPLAINED
        self.parked += outcome == "parked"
        if not record.get("fell_back"):
            self.versions.add(str(record.get("template_digest")))


@dataclass(frozen=True, slots=True)
class Look:
    """What was known at a time. `interval`: None while nothing may be decided."""

    at: datetime
    a: Arm
    b: Arm
    evidence: float
    interval: Interval | None

    @property
    def effect(self) -> float:
        return statistics.effect(self.a, self.b)


class Verdict(StrEnum):
    RATIO_WRONG = "ratio_wrong"
    TOO_EARLY = "too_early"
    UNDECIDED = "undecided"
    B_BETTER = "b_better"
    A_BETTER = "a_better"


@dataclass(frozen=True, slots=True)
class Analysis:
    """`assigned_ratio`, `sent_ratio`: of the units. `looks`: one a day and the present one, oldest first."""

    registered: RegisteredExperiment
    guardrails: Mapping[Variant, Guardrails]
    assigned: Mapping[Variant, int]
    sent: Mapping[Variant, int]
    assigned_ratio: SampleRatio
    sent_ratio: SampleRatio
    looks: Sequence[Look]

    @property
    def now(self) -> Look:
        return self.looks[-1]

    @property
    def decided(self) -> Look | None:
        """The first look at which the evidence decides; None where there is none."""
        return next((look for look in self.looks if look.evidence >= statistics.DECISION), None)

    @property
    def verdict(self) -> Verdict:
        if self.assigned_ratio.is_wrong or self.sent_ratio.is_wrong:
            return Verdict.RATIO_WRONG
        if self.decided:
            return Verdict.B_BETTER if self.decided.effect > 0 else Verdict.A_BETTER
        return Verdict.UNDECIDED if self.now.interval else Verdict.TOO_EARLY


def analyse(
    registered: RegisteredExperiment,
    records: Iterable[Record],
    payments: Mapping[str, Sequence[datetime]],
    now: datetime,
) -> Analysis:
    """`records`: those of the test. `payments`: when payments were reported, by booking."""
    known = sorted((each for each in records if each.get("variant") in tuple(Variant)), key=_created)
    guardrails = {variant: Guardrails() for variant in Variant}
    for record in known:
        guardrails[_variant(record)].add(record)
    exposures = first_exposures(known, payments)
    share = registered.experiment.share
    assigned = [_variant(each) for each in first_of_units(known)]
    sent = [each.variant for each in exposures]
    return Analysis(
        registered,
        guardrails,
        {variant: assigned.count(variant) for variant in Variant},
        {variant: sent.count(variant) for variant in Variant},
        _ratio(share, assigned),
        _ratio(share, sent),
        list(_looks(registered, exposures, now)),
    )


def first_exposures(records: Iterable[Record], payments: Mapping[str, Sequence[datetime]]) -> list[Exposure]:
    """The first message of each unit that was sent, oldest first. A simulated one is none."""
    sent = [each for each in records if each.get("outcome") == "sent" and isinstance(each.get("sent_at"), datetime)]
    first = first_of_units(sorted(sent, key=lambda each: each["sent_at"]))
    return [Exposure(unit(each), _variant(each), each["sent_at"], _converted(each, payments)) for each in first]


def first_of_units(records: Iterable[Record]) -> list[Record]:
    first: dict[str, Record] = {}
    for record in records:
        first.setdefault(unit(record), record)
    return list(first.values())


def unit(record: Record) -> str:
    """The unit's digest; of an erased record, which has none, its id; before a test, what would be assigned."""
    data = record.get("event_data") or {}
    return str(record.get("unit") or data.get("user_id") or data.get("booking_id") or record["_id"])


def _variant(record: Record) -> Variant:
    """As assigned: only `b` falls back."""
    return Variant.B if record.get("fell_back") else Variant(record.get("variant") or Variant.A)


def _converted(record: Record, payments: Mapping[str, Sequence[datetime]]) -> bool:
    sent_at = record["sent_at"]
    return any(sent_at <= paid_at <= sent_at + WINDOW for paid_at in payments.get(str(record.get("booking_id")), ()))


def _created(record: Record) -> datetime:
    created_at = record.get("created_at")
    return created_at if isinstance(created_at, datetime) else datetime.max.replace(tzinfo=UTC)


def _ratio(share: float, variants: Iterable[Variant]) -> SampleRatio:
    ratio = SampleRatio(share)
    for variant in variants:
        ratio.add(is_b=variant is Variant.B)
    return ratio


def _looks(registered: RegisteredExperiment, exposures: Sequence[Exposure], now: datetime) -> Iterator[Look]:
    """One look at each midnight (UTC) at which there is something to look at, and one now."""
    counted, arms = 0, {variant: Arm() for variant in Variant}
    for at in _times(exposures[0].at + WINDOW if exposures else now, now):
        while counted < len(exposures) and exposures[counted].at <= at - WINDOW:
            each = exposures[counted]
            arm = arms[each.variant]
            arms[each.variant] = Arm(arm.units + 1, arm.conversions + each.converted)
            counted += 1
        a, b, wanted = arms[Variant.A], arms[Variant.B], registered.experiment.wanted
        yield Look(at, a, b, statistics.evidence(a, b, wanted), statistics.interval(a, b, wanted))


def _times(first: datetime, now: datetime) -> Iterator[datetime]:
    midnight = first.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + _DAY
    while midnight < now:
        yield midnight
        midnight += _DAY
    yield now


@dataclass(frozen=True, slots=True)
class Plan:
    """`units_per_day`, `rate`: as measured over `days` days. `units_needed`: of both arms together."""

    days: float
    units_per_day: float
    rate: float
    units_needed: int

    @property
    def duration_days(self) -> float:
        return self.units_needed / self.units_per_day + WINDOW / _DAY


def plan(exposures: Sequence[Exposure], wanted: float, share: float, now: datetime) -> Plan | None:
    """How long the wanted effect takes at the traffic of these exposures; None without any that can be judged."""
    ripe = [each for each in exposures if each.at <= now - WINDOW]
    conversions = sum(each.converted for each in ripe)
    if not conversions:
        return None
    days = max((now - WINDOW - ripe[0].at) / _DAY, 1.0)
    rate = conversions / len(ripe)
    return Plan(days, len(ripe) / days, rate, statistics.units_needed(rate, wanted, share))
