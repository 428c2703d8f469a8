"""`make bench-processes`: one backlog worked off by 1, 2 and 4 processes, each mail exactly once."""

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks import results
from benchmarks.material import publication
from benchmarks.measuring import cpu_seconds, fresh_place
from benchmarks.programs import CONNECTIONS, PREFETCH
from tests.stack.local import LocalStack
from tests.stack.place import RECORDS, Place, until
from tests.stack.processes import PartFailedError
from tests.stack.smtp import SmtpServer

_MAX_LENGTH = 600.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--processes", default="1,2,4")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with LocalStack(folder, smtp=SmtpServer(folder / "smtp", keep=False, fsync=False)) as stack:
            for count in map(int, options.processes.split(",")):
                with fresh_place(stack, folder / f"of-{count}") as place:
                    rows.append(work_off(place, count, options.events))
    results.show(f"{options.events} events waiting", rows)
    results.keep("processes", rows, events=options.events)


def work_off(place: Place, count: int, events: int) -> results.Row:
    """Raises `PartFailedError` where a mail went out twice or not at all.

    The clock runs from the first mail to the last. The services consume before the events are published, so all of
    them take part.
    """
    settings = {"LOG_LEVEL": "INFO", "RABBITMQ_PREFETCH": str(PREFETCH), "SMTP_POOL_SIZE": str(CONNECTIONS)}
    services = [place.service(**settings) for _ in range(count)]
    before, ahead = place.smtp.stats(), len(place.smtp.mails())
    try:
        for service in services:
            service.start()
        for service in services:
            service.wait_ready()
        spent = sum(map(cpu_seconds, services))
        started = time.monotonic()
        place.publish(*(publication(number) for number in range(events)))
        until(lambda: place.smtp.stats().mails - before.mails >= events, timeout=_MAX_LENGTH)
        seconds = time.monotonic() - started
        until(lambda: place.database[RECORDS].count_documents({"outcome": "sent"}) >= events)
        spent = sum(map(cpu_seconds, services)) - spent
    finally:
        for service in services:
            service.stop()
    ids = Counter(mail.message_id for mail in place.smtp.mails()[ahead:])
    if len(ids) != events or any(times != 1 for times in ids.values()):
        raise PartFailedError(f"{len(ids)} different mails for {events} events, {sum(ids.values())} in all")
    return {
        "processes": count,
        "events/s": events / seconds,
        "CPU ms/event": spent * 1000 / events,
        "connections": place.smtp.stats().connections - before.connections,
        "each exactly once": "yes",
    }


if __name__ == "__main__":
    main()
