"""In-memory register of tests: the twin of `stores/mongo/experiments.py`."""

from dataclasses import replace
from datetime import datetime

from notification_service.contract.variants import Experiment
from notification_service.delivery.ports.experiments import RegisteredExperiment


class MemoryExperiments:
    def __init__(self) -> None:
        self._known: dict[str, RegisteredExperiment] = {}

    async def enter(self, experiment: Experiment, at: datetime) -> RegisteredExperiment:
        return self._known.setdefault(experiment.salt, RegisteredExperiment(experiment, at))

    async def read(self, salt: str) -> RegisteredExperiment | None:
        return self._known.get(salt)

    async def all(self) -> list[RegisteredExperiment]:
        return sorted(self._known.values(), key=lambda each: each.started_at)

    async def stop(self, salt: str, reason: str, at: datetime) -> None:
        known = self._known.get(salt)
        if known is not None and known.stopped_at is None:
            self._known[salt] = replace(known, stopped_at=at, stop_reason=reason)
