"""How a message is settled in the broker. Only the consumer acts on it."""

from dataclasses import dataclass

from notification_service.contract.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class Done:
    """Ack: the outcome is written, or there was nothing to do."""

    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class Park:
    """Move to the parking queue, then ack: a person decides."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Retry:
    """Move to a retry queue, then ack. `counted`: it uses up one of the retries.

    `not_before`: Unix time until which the message goes round, where one delay is too short. `limits_passed`: how many
    rate limits it need not pass again; None: as many as before.
    """

    seconds: float
    counted: bool
    reason: str
    not_before: int | None = None
    limits_passed: int | None = None


Settlement = Done | Park | Retry
