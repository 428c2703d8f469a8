"""What SMS cost is counted where the provider took one, and nowhere else."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from notification_service.channels.sms.cost_meter import CostMeter
from notification_service.channels.sms.message import OutgoingSms
from notification_service.channels.sms.prices import Prices
from notification_service.delivery.ports.channel import (
    Accepted,
    Attempt,
    BeforeHandover,
    Found,
    InDoubt,
    LookUpAnswer,
    NotFound,
    OutgoingMessage,
    Refused,
    Tried,
)
from notification_service.delivery.ports.claims import Fence
from notification_service.delivery.retries import RetrySchedule
from notification_service.observability.metrics import Metrics

AT = datetime(2026, 11, 29, tzinfo=UTC)
ATTEMPT = Attempt(AT, "accepted", 1.0)
PRICES = Prices({"DE": Decimal("0.11"), "GB": Decimal("0.05")})


class Provider:
    name = "twilio"

    def __init__(self, verdict: Tried) -> None:
        self.verdict, self.closed = verdict, False

    async def send_once(self, message: OutgoingMessage, before_handover: BeforeHandover) -> Tried:  # noqa: ARG002
        return self.verdict

    async def close(self) -> None:
        self.closed = True


async def held() -> Fence:
    return Fence.HELD


def sms(number: str = "+4915112345678", segments: int = 2) -> OutgoingSms:
    return OutgoingSms(
        notification_id="n1", template="booking_cancellation", recipient=number, content=b"x", segments=segments
    )


def metered(verdict: Tried) -> tuple[CostMeter, Metrics]:
    metrics, limit = Metrics(RetrySchedule(3, (5, 30)), ""), PRICES.day_limit(1000, 2)
    return CostMeter(Provider(verdict), PRICES, limit, metrics.sms_costs(limit)), metrics


def value(metrics: Metrics, name: str, country: str | None = None) -> float | None:
    return metrics.registry.get_sample_value(f"notification_sms_{name}", {"country": country} if country else {})


async def test_a_taken_message_costs_the_price_of_each_segment() -> None:
    meter, metrics = metered(Accepted(ATTEMPT))
    for message in (sms(), sms(segments=1), sms("+447400123456"), sms("+33612345678")):
        assert await meter.send_once(message, held) == Accepted(ATTEMPT)
    assert value(metrics, "cost_total", "DE") == pytest.approx(0.33)
    assert value(metrics, "cost_total", "GB") == pytest.approx(0.10)
    assert (value(metrics, "cost_total", "FR"), value(metrics, "segments_total", "FR")) == (None, 2)
    assert value(metrics, "day_cost_limit") == 220


@pytest.mark.parametrize("verdict", [Refused(ATTEMPT, "x"), InDoubt(ATTEMPT)])
async def test_what_is_not_known_to_be_taken_costs_nothing(verdict: Tried) -> None:
    meter, metrics = metered(verdict)
    assert await meter.send_once(sms(), held) == verdict
    assert value(metrics, "segments_total", "DE") is None


@pytest.mark.parametrize(("answer", "segments"), [(Found(ATTEMPT), 2), (NotFound(), None)])
async def test_a_message_that_the_providers_list_has_counts_then(answer: LookUpAnswer, segments: float | None) -> None:
    meter, metrics = metered(InDoubt(ATTEMPT))

    async def look_up(message: OutgoingMessage, since: datetime) -> LookUpAnswer:
        return answer

    assert await meter.metered(look_up)(sms(), AT) == answer
    assert value(metrics, "segments_total", "DE") == segments


def test_without_a_limit_or_a_price_no_day_has_a_highest_cost() -> None:
    assert Prices().day_limit(1000, 2) is None
    assert PRICES.day_limit(0, 2) is None
