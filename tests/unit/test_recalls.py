"""What bounced is called back, by whoever is left, and each bounce of it once."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from notification_service.broker.parking import EventToPublish
from notification_service.channels.refusal_patterns import Refusals
from notification_service.contract.outcomes import Bounced
from notification_service.delivery.ports.ledger import Intent
from notification_service.foundation.errors import DependencyError, EventRefusedError
from notification_service.records.recalls import Recaller
from notification_service.stores.memory.ledger import MemoryLedger, MemoryRecalls

WORDS = "f1"
AT = datetime(2026, 11, 24, 12, tzinfo=UTC)


def intent(name: str) -> Intent:
    return Intent(
        notification_id=name,
        owner="a",
        event_id=f"e-{name}",
        event_type="booking.confirmed",
        channel="email",
        template="booking_confirmation",
        template_digest="0",
        recipient="a@one.example",
        created_at=AT,
        booking_id=name,
        message_id=f"<{name}@cinema.example>",
        fact=f"booking:{name}:confirmed",
        event_data={"booking_id": name},
    )


@dataclass
class Scene:
    """A ledger, and what was published. `left`: after so many the worker is gone."""

    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    published: list[tuple[str, str]] = field(default_factory=list)
    left: int = 1000
    refused: tuple[str, ...] = ()
    """Bookings whose events the broker does not take."""

    def __post_init__(self) -> None:
        self.recalls = MemoryRecalls(self.ledger)

    def worker(self) -> tuple[Recaller, Refusals]:
        refusals = Refusals()
        recaller = Recaller(self.recalls, refusals, self.republish)
        refusals.on_recall = recaller.alarm
        return recaller, refusals

    async def republish(self, event: EventToPublish) -> None:
        assert event.event_type == "booking.confirmed"
        body, event_id = event.body, event.event_id or ""
        self.left -= 1
        if self.left < 0:
            raise DependencyError("gone")
        assert event_id == f"e-{json.loads(body)['booking_id']}"
        if json.loads(body)["booking_id"] in self.refused:
            raise EventRefusedError(event_id, "message size 3 is larger")
        self.published.append((body.decode(), event.replay or ""))

    async def bounce(self, *names: str, at: datetime = AT) -> None:
        for name in names:
            await self.ledger.open(intent(name))
            record = self.ledger.records[name]
            await self.ledger.take_over(
                name, "a", f"e-{name}", at=at, resends=0, seen=record.owner, was=record.entry.outcome
            )
            await self.ledger.close(name, "a", Bounced("550", "no", WORDS), at=at)

    @property
    def tokens(self) -> list[str]:
        return [token for _, token in self.published]


async def test_what_bounced_is_published_at_once_and_again_when_mail_passes() -> None:
    scene = Scene()
    recaller, refusals = scene.worker()
    await scene.bounce("n1", "n2")
    refusals.mark_about_us(WORDS)
    recaller.alarm(WORDS, AT)
    assert await recaller.carry_out_orders() == 1
    assert [body for body, _ in scene.published] == [
        '{"booking_id": "n1"}',
        '{"booking_id": "n2"}',
    ]
    assert await recaller.carry_out_orders() == 1
    assert len(scene.published) == 2
    refusals.accepted("j@good.example")
    assert await recaller.carry_out_orders() == 0
    assert scene.tokens[:2] == scene.tokens[2:], "the same bounce has another token"


async def test_what_another_worker_bounced_meanwhile_is_called_back_too() -> None:
    scene = Scene()
    (recaller, refusals), (other, _) = scene.worker(), scene.worker()
    await scene.bounce("n1")
    refusals.mark_about_us(WORDS)
    recaller.alarm(WORDS, AT)
    await recaller.carry_out_orders()
    await scene.bounce("n1", "n2", at=AT + timedelta(seconds=5))
    refusals.accepted("j@good.example")
    assert await recaller.carry_out_orders() == 0
    assert len(set(scene.tokens)) == 3, "a second bounce is another one"
    assert await other.carry_out_orders() == 0


@pytest.mark.parametrize("published", range(3))
async def test_a_worker_that_dies_in_the_middle_is_followed_by_another(published: int) -> None:
    scene = Scene(left=published)
    recaller, refusals = scene.worker()
    await scene.bounce("n1", "n2", "n3")
    refusals.mark_about_us(WORDS)
    recaller.alarm(WORDS, AT)
    with pytest.raises(DependencyError):
        await recaller.carry_out_orders()
    scene.left = 1000
    follower, heard = scene.worker()
    assert await follower.carry_out_orders() == 1
    assert heard.is_about_us(WORDS)
    assert len(set(scene.tokens)) == 3
    assert len(scene.published) == 3 + published
    heard.accepted("j@good.example")
    assert await follower.carry_out_orders() == 0


async def test_what_bounced_before_or_is_not_kept_in_full_is_left() -> None:
    scene = Scene()
    recaller, _ = scene.worker()
    await scene.bounce("old", at=AT - timedelta(days=2))
    await scene.bounce("n1")
    record = scene.ledger.records["n1"]
    record.intent.event_data["user_email"] = "j***@one.example"  # type: ignore[index]  # a dict, in fact
    recaller.alarm(WORDS, AT - timedelta(days=1))
    await recaller.carry_out_orders()
    assert scene.published == []


async def test_words_that_are_known_here_to_blame_their_addresses_are_not_heard_again() -> None:
    scene = Scene()
    recaller, refusals = scene.worker()
    refusals.mark_about_us(WORDS)
    refusals.accepted("j@good.example")
    recaller.alarm(WORDS, AT)
    assert await recaller.carry_out_orders() == 0
    assert not refusals.is_about_us(WORDS)


async def test_one_that_the_broker_refuses_holds_up_no_other_and_no_order() -> None:
    scene = Scene(refused=("n1",))
    recaller, refusals = scene.worker()
    await scene.bounce("n1", "n2")
    recaller.alarm(WORDS, AT)
    assert await recaller.carry_out_orders() == 1
    refusals.accepted("j@good.example")
    assert await recaller.carry_out_orders() == 0
    assert {body for body, _ in scene.published} == {'{"booking_id": "n2"}'}
