"""A message in doubt whose provider has told what became of it was taken, whatever its list says."""

from dataclasses import replace

import pytest

from notification_service.contract.outcomes import Sent
from notification_service.delivery.ports.channel import (
    CannotTell,
    LookUpAnswer,
    LookUpFailed,
    NotFound,
    OutgoingMessage,
)
from notification_service.delivery.settlements import Done, Retry
from tests.samples import sample
from tests.unit.fakes import IN_DOUBT, inbound
from tests.unit.test_pipeline import Cinema

ANSWERS = pytest.mark.parametrize(
    "answer", [CannotTell(), NotFound(), LookUpFailed("the list is down")], ids=lambda each: type(each).__name__
)
EVENT = sample("payment.failed")


async def in_doubt(answer: LookUpAnswer) -> Cinema:
    async def look_up(_message: OutgoingMessage, _since: object) -> LookUpAnswer:
        return answer

    cinema = Cinema([IN_DOUBT])
    assert isinstance(await cinema.pipeline.handle(inbound(EVENT)), Retry)
    cinema.clock.after_the_lease()
    cinema.pipeline = replace(cinema.process(), look_up=look_up)
    return cinema


@ANSWERS
async def test_a_signed_callback_proves_that_it_was_taken(answer: LookUpAnswer) -> None:
    cinema = await in_doubt(answer)
    cinema.record.reported = True
    assert await cinema.pipeline.handle(inbound(EVENT)) == Done(Sent())
    assert len(cinema.mails) == 1
    assert [each.result for each in cinema.record.attempts] == ["in_doubt", "accepted"]


@ANSWERS
async def test_without_one_the_list_and_the_policy_decide(answer: LookUpAnswer) -> None:
    cinema = await in_doubt(answer)
    settled = await cinema.pipeline.handle(inbound(EVENT))
    assert (
        isinstance(settled, Retry)
        if isinstance(answer, LookUpFailed)
        else settled == Done(Sent(possible_duplicate=True))
    )
    assert len(cinema.mails) == (1 if isinstance(answer, LookUpFailed) else 2)
