"""What the delivery needs from the register of tests, which all workers share."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from notification_service.contract.variants import Experiment


class UnreadableRegisterError(Exception):
    """The register holds something that is no test; the text says what."""


@dataclass(frozen=True, slots=True)
class RegisteredExperiment:
    """A test as it was first started. `stopped_at`, `stop_reason`: None while it was not stopped by a failure."""

    experiment: Experiment
    started_at: datetime
    stopped_at: datetime | None = None
    stop_reason: str | None = None


class ExperimentRegister(Protocol):
    """Every method raises `StoreUnavailableError`, and may be repeated after it."""

    async def enter(self, experiment: Experiment, at: datetime) -> RegisteredExperiment:
        """Enter the test unless its salt is known, and return what is known under its salt.

        Raises `UnreadableRegisterError`.
        """

    async def read(self, salt: str) -> RegisteredExperiment | None:
        """The test of this salt; None where there is none. Raises `UnreadableRegisterError`."""

    async def all(self) -> list[RegisteredExperiment]:
        """Every test that was ever started, the oldest first. Raises `UnreadableRegisterError`."""

    async def stop(self, salt: str, reason: str, at: datetime) -> None:
        """Stop the test for all workers; the first reason is kept."""
