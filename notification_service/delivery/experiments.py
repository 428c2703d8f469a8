"""Whether the test of the settings runs, as one worker knows it, and which variant a notification is assigned.

A test never costs a message: whatever is in doubt about it, the control is sent.
"""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime

import structlog

from notification_service.contract.experiments import assign, unit_of
from notification_service.contract.variants import Assignment, Experiment, Variant, variant_name
from notification_service.delivery.planning import Notification
from notification_service.delivery.ports.composer import Composer, CompositionError
from notification_service.delivery.ports.experiments import (
    ExperimentRegister,
    RegisteredExperiment,
    UnreadableRegisterError,
)
from notification_service.foundation.errors import ConfigurationError, StoreUnavailableError

log = structlog.get_logger(__name__)

_POLL_INTERVAL_S = 10.0
"""How long another worker's stop may go unnoticed."""


class RunningExperiment:
    """A worker's view of one test. `poll_interval_s`: how often it asks whether the test was stopped."""

    def __init__(
        self, experiment: Experiment, register: ExperimentRegister, *, poll_interval_s: float = _POLL_INTERVAL_S
    ) -> None:
        self.experiment = experiment
        self._register = register
        self._poll_interval_s = poll_interval_s
        self._woken = asyncio.Event()
        self._stop_reason: str | None = None
        self._why_not: str | None = "it was not started yet"
        """Why everybody gets the control now; None while the test runs."""
        self._entered = False
        self._other: Experiment | None = None
        """Another test that had its salt before."""

    @property
    def running(self) -> bool:
        return self._why_not is None

    def for_channel(self, composer: Composer) -> "RunningExperiment | None":
        """The test, for a channel whose composer knows its variant; None for any other: it sends the control."""
        try:
            composer.digest(variant_name(self.experiment.template, Variant.B))
        except (CompositionError, LookupError):
            log.info("experiment.not_for_channel", experiment=self.experiment.salt, channel=composer.channel)
            return None
        return self

    def assign(self, notification: Notification) -> Assignment | None:
        """The variant of a new notification; None where it has no part in the test."""
        if self._why_not is not None or notification.template != self.experiment.template:
            return None
        unit = unit_of(notification.event)
        return assign(self.experiment, unit) if unit else None

    async def start(self) -> None:
        """Enter the test in the register. Raises `ConfigurationError` if its salt was used for another test.

        While the register cannot be read, the test is off.
        """
        await self.refresh()
        if self._other:
            raise ConfigurationError(
                f"EXPERIMENT={self.experiment}: the salt was used for {self._other} before, and a test never changes "
                "under one salt: choose a new one"
            )

    def stop(self, reason: str) -> None:
        """Stop the test here at once, and for all workers as soon as MongoDB takes it."""
        self._stop_reason = reason
        self._set(reason)
        self._woken.set()

    async def watch_forever(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), self._poll_interval_s)
            self._woken.clear()
            await self.refresh()

    async def refresh(self) -> None:
        """Tell the register of a stop, and ask it whether the test runs."""
        try:
            if self._stop_reason is not None:
                await self._register.stop(self.experiment.salt, self._stop_reason, datetime.now(UTC))
            known = await self._known()
        except (StoreUnavailableError, UnreadableRegisterError) as problem:
            self._set(f"the register of tests cannot be read: {problem}")
            return
        self._set(self._stop_reason or self._judged(known))

    async def _known(self) -> RegisteredExperiment | None:
        if self._entered:
            return await self._register.read(self.experiment.salt)
        known = await self._register.enter(self.experiment, datetime.now(UTC))
        self._entered = True
        return known

    def _judged(self, known: RegisteredExperiment | None) -> str | None:
        if known is None:
            return "the register of tests no longer has it"
        if known.experiment != self.experiment:
            self._other = known.experiment
            return f"its salt was used for {known.experiment} before"
        return f"it was stopped: {known.stop_reason}" if known.stopped_at else None

    def _set(self, why_not: str | None) -> None:
        if why_not == self._why_not:
            return
        self._why_not = why_not
        if why_not is None:
            log.info("experiment.running", experiment=self.experiment.salt, tested=self.experiment.template)
        else:
            log.warning("experiment.off", experiment=self.experiment.salt, reason=why_not)
