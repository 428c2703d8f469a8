"""The register of tests: one document in MongoDB, with every salt that was ever used."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from pymongo.errors import DuplicateKeyError

from notification_service.contract.variants import Experiment
from notification_service.delivery.ports.experiments import RegisteredExperiment, UnreadableRegisterError
from notification_service.foundation.errors import StoreUnavailableError
from notification_service.stores.mongo.client import Database, translate_errors
from notification_service.stores.mongo.schema import FACTS

_ID = "experiments"
"""No fact begins with this. The document has no date, so retention never removes it."""


class MongoExperiments:
    def __init__(self, database: Database) -> None:
        self._facts = database[FACTS]

    async def enter(self, experiment: Experiment, at: datetime) -> RegisteredExperiment:
        field = f"tests.{experiment.salt}"
        new = {"template": experiment.template, "share": experiment.share, "wanted": experiment.wanted}
        change = {"$set": {field: {**new, "started_at": at}}}
        # Where the salt is known, no document matches, and a second one of this id is refused.
        write = self._facts.update_one({"_id": _ID, field: {"$exists": False}}, change, upsert=True)
        with suppress(DuplicateKeyError):
            await translate_errors(write)
        found = await self.read(experiment.salt)
        if found is None:
            raise StoreUnavailableError("MongoDB", "the test was entered, and is not in the register")
        return found

    async def read(self, salt: str) -> RegisteredExperiment | None:
        tests = await self._tests()
        return _read(salt, tests[salt]) if salt in tests else None

    async def all(self) -> list[RegisteredExperiment]:
        found = [_read(salt, test) for salt, test in (await self._tests()).items()]
        return sorted(found, key=lambda each: each.started_at)

    async def stop(self, salt: str, reason: str, at: datetime) -> None:
        field = f"tests.{salt}"
        which = {"_id": _ID, field: {"$exists": True}, f"{field}.stopped_at": {"$exists": False}}
        change = {"$set": {f"{field}.stopped_at": at, f"{field}.stop_reason": reason}}
        await translate_errors(self._facts.update_one(which, change))

    async def _tests(self) -> Mapping[str, object]:
        document = await translate_errors(self._facts.find_one({"_id": _ID}))
        tests = document.get("tests", {}) if document else {}
        if not isinstance(tests, Mapping):
            raise UnreadableRegisterError(f"`tests` of the document {_ID!r} is a {type(tests).__name__}")
        return tests


def _read(salt: str, test: Any) -> RegisteredExperiment:  # noqa: ANN401 - whatever BSON holds
    match test:
        case {
            "template": str(template),
            "share": float(share),
            "wanted": float(wanted),
            "started_at": datetime() as at,
        }:
            experiment = Experiment(template, share, salt, wanted)
            stopped_at, reason = test.get("stopped_at"), test.get("stop_reason")
            stopped = stopped_at if isinstance(stopped_at, datetime) else None
            return RegisteredExperiment(experiment, at, stopped, str(reason) if reason else None)
    raise UnreadableRegisterError(f"the test {salt!r} lacks its template, share, wanted effect or start")
