"""Asks a provider about messages in doubt through the breaker of its channel, so that an outage is found out once."""

from datetime import datetime

from notification_service.channels.admission import State
from notification_service.channels.breaker import Breaker
from notification_service.channels.conversation_slots import TurnedAway, slot_at
from notification_service.channels.refusal_patterns import domain_of
from notification_service.delivery.ports.channel import (
    InDoubt,
    LookUp,
    LookUpAnswer,
    LookUpFailed,
    OutgoingMessage,
    PutOff,
    Unavailable,
)

_MAX_UNANSWERED = 3
"""So many questions in a row without an answer, and no message passed meanwhile: the provider is at fault."""
_HINT = "the provider does not say which messages it has: is it reachable from here, and what does its status page say?"


class GuardedLookUps:
    """A `LookUp` that takes one of the channel's conversations, and is not made while the channel is closed.

    What fails because of the provider counts for the breaker as it does for a message. An answer closes it, unless
    messages opened it: that the provider answers a question does not say that it takes messages.
    """

    def __init__(self, look_up: LookUp, breaker: Breaker) -> None:
        self._look_up = look_up
        self._breaker = breaker
        self._unanswered = 0
        self._passed = breaker.passed

    async def __call__(self, message: OutgoingMessage, since: datetime) -> LookUpAnswer:
        admission = self._breaker.admission
        if admission.state is State.OPEN:
            return LookUpFailed(f"the channel is closed: {admission.reason}")
        async with slot_at((admission.slots,), domain_of(message.recipient)) as slot:
            match slot:
                case PutOff(reason=reason):
                    return LookUpFailed(reason)
                case TurnedAway():
                    return LookUpFailed("the channel has closed")
            answer = await self._look_up(message, since)
            if slot.generation == admission.slots.generation:
                self._judge(answer)
        return answer

    def _judge(self, answer: LookUpAnswer) -> None:
        """Change the breaker's state by the answer to a question that was asked since it last opened."""
        match answer:
            case LookUpFailed(blame=Unavailable(attempt, hint)):
                self._breaker.admission.open(attempt, hint)
            case LookUpFailed(blame=InDoubt(attempt)):
                if self._is_one_too_many():
                    self._breaker.admission.open(attempt, _HINT)
            case LookUpFailed():
                pass
            case _:
                self._unanswered = 0
                self._breaker.admission.succeeded(accepted=False)

    def _is_one_too_many(self) -> bool:
        in_a_row = self._unanswered if self._passed == self._breaker.passed else 0
        self._unanswered, self._passed = in_a_row + 1, self._breaker.passed
        return self._unanswered >= _MAX_UNANSWERED or self._breaker.state is State.PROBING
