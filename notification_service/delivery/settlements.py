"""What becomes of a delivery in the broker. The consumer is the only place that acts on it."""

from dataclasses import dataclass

from notification_service.contract.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class Done:
    """Acked: the outcome is written, or there was nothing to do."""

    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class Park:
    """Moved to the parking queue, then acked: a person decides."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Retry:
    """Moved to a rung of the retry ladder, then acked. `counted`: it uses up one of the retries.

    `not_before`: unix seconds, where a single delay may be too short. `limits_passed`: how many limits lie behind it
    then; None:
    as many as before.
    """

    seconds: float
    counted: bool
    reason: str
    not_before: int | None = None
    limits_passed: int | None = None


Settlement = Done | Park | Retry
