"""`make bench-scale`: cost that must not grow, neither with the events that wait nor with the records there are.

Each is measured beside a small one in the same run. The server in MongoDB's place here slows down with its own
history, so the plans of the hot path's queries are shown too, where it gives any.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from pymongo.database import Database
from pymongo.errors import PyMongoError

from benchmarks import results
from benchmarks.material import publication
from benchmarks.measuring import cpu_seconds, fresh_place, memory_mb
from benchmarks.programs import CONNECTIONS, PREFETCH
from notification_service.stores.mongo.schema import FACTS
from tests.stack.local import LocalStack
from tests.stack.place import RECORDS, Document, Place, Service, until
from tests.stack.smtp import SmtpServer

_MAX_LENGTH = 1800.0
_AT_ONCE = 5000
_SETTLES = 60.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--waiting", type=int, default=100_000, help="events in the queues")
    parser.add_argument("--records", type=int, default=100_000, help="documents in the ledger")
    parser.add_argument("--events", type=int, default=1000, help="that are measured each time")
    options = parser.parse_args()
    rows: list[results.Row] = []
    queries: list[results.Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with LocalStack(folder, smtp=SmtpServer(folder / "smtp", keep=False, fsync=False)) as stack:
            for number, waiting in enumerate((2 * options.events, options.waiting)):
                with fresh_place(stack, folder / f"waiting-{number}") as place:
                    rows.append({"what": f"{waiting:,} events wait", **beginning(place, waiting, options.events)})
            for number, records in enumerate((0, options.records)):
                with fresh_place(stack, folder / f"records-{number}") as place:
                    seconds = fill(place, records)
                    print(f"{records:,} records inserted in {seconds:.0f} s", flush=True)
                    rows.append(
                        {"what": f"{records:,} records", **beginning(place, 2 * options.events, options.events)}
                    )
                    queries = plans(place.database)
    results.show(f"{options.events} events at the beginning of a backlog", rows)
    results.show("what the hot path asks MongoDB", queries)
    results.keep("scale", rows, queries=queries, waiting=options.waiting, records=options.records)


def beginning(place: Place, waiting: int, events: int) -> dict[str, float]:
    """What the first `events` of so many cost, and the memory (RSS) after them."""
    for start in range(0, waiting, _AT_ONCE):
        place.publish(*(publication(number) for number in range(start, min(start + _AT_ONCE, waiting))))
    service = _service(place)
    before = place.smtp.stats().mails
    service.start()
    try:
        first = _mails(place, service, before, 1)
        cpu, started = cpu_seconds(service), time.monotonic()
        counted = _mails(place, service, before, min(events, waiting)) - first
        seconds, spent = time.monotonic() - started, cpu_seconds(service) - cpu
        memory = memory_mb(service, "VmRSS")
    finally:
        service.stop()
    return {"events/s": counted / seconds, "CPU ms/event": spent * 1000 / counted, "RSS MB": memory}


def _service(place: Place) -> Service:
    return place.service(LOG_LEVEL="INFO", RABBITMQ_PREFETCH=str(PREFETCH), SMTP_POOL_SIZE=str(CONNECTIONS))


def _mails(place: Place, service: Service, before: int, wanted: int) -> int:
    def enough() -> int:
        if not service.running:
            raise AssertionError(f"the service ended; see {service.log}")
        mails = place.smtp.stats().mails - before
        return mails if mails >= wanted else 0

    return until(enough, timeout=_MAX_LENGTH)


def fill(place: Place, records: int) -> float:
    """Put copies of one real record into the ledger, each with ids of its own; how many seconds it took."""
    with _service(place):
        place.publish(publication(0))
        until(lambda: place.database[RECORDS].count_documents({"outcome": "sent"}), timeout=_SETTLES)
    one = place.records()[0]
    started = time.monotonic()
    for start in range(0, records, _AT_ONCE):
        numbers = range(start, min(start + _AT_ONCE, records))
        place.database[RECORDS].insert_many([_copy(one, number) for number in numbers], ordered=False)
    return time.monotonic() - started


def _copy(record: Document, number: int) -> Document:
    event = f"old-{number}"
    return {**record, "_id": f"old-{number}", "event_id": event, "event_ids": [event]}


def plans(database: Database[Document]) -> list[results.Row]:
    """Every read and the filter of every write of the hot path, with the plan as far as the server tells it."""
    found = database[RECORDS].find_one({}, {"_id": 1})
    key = found["_id"] if found else "none"
    asked: list[tuple[str, str, Document]] = [
        ("superseded? told? (in groups)", RECORDS, {"_id": {"$in": [key]}}),
        ("its outcome", RECORDS, {"_id": key, "outcome": {"$in": ["pending", "waiting"]}, "owner": "one"}),
        ("which report was first", FACTS, {"_id": {"$in": ["one"]}}),
        ("who is it", "users", {"_id": {"$in": ["user456"]}}),
        ("whose booking is it", "bookings", {"_id": {"$in": ["BOOK-789012"]}}),
    ]
    return [{"question": what, "collection": name, **_plan(database, name, which)} for what, name, which in asked]


def _plan(database: Database[Document], name: str, which: Document) -> dict[str, str]:
    try:
        told: Document = database.command("explain", {"find": name, "filter": which}, verbosity="executionStats")
    except PyMongoError as problem:
        return {"plan": f"none: {type(problem).__name__}", "examined": "-"}
    stages = ", ".join(_stages(told.get("queryPlanner", {}).get("winningPlan", {})))
    return {"plan": stages or "not told", "examined": str(told.get("executionStats", {}).get("totalDocsExamined", "-"))}


def _stages(plan: dict[str, Any]) -> list[str]:
    own = [" ".join(str(plan[key]) for key in ("stage", "indexName") if key in plan)] if "stage" in plan else []
    return own + (_stages(plan["inputStage"]) if "inputStage" in plan else [])


if __name__ == "__main__":
    main()
