"""`make bench`: how fast the service works off a backlog, and what an event costs.

Publishes a mix of events while the service is stopped, starts it, and prints events/s, CPU ms for each event,
SMTP connections and peak memory. Not a timed test: these are figures of one machine in one minute.
"""

import argparse
import json
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.samples import fresh
from tests.stack.local import LocalStack
from tests.stack.place import RECORDS, Place, Service, until
from tests.stack.publisher import Publication, event
from tests.stack.smtp import SmtpServer

MIX = ("booking.confirmed", "payment.success", "booking.cancelled", "payment.failed", "payment.refunded")
_TICK = os.sysconf("SC_CLK_TCK")
_BOOKING = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


@dataclass(frozen=True)
class Result:
    events: int
    seconds: float
    events_per_second: float
    cpu_ms_per_event: float
    connections: int
    peak_memory_mb: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON line")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        smtp = SmtpServer(Path(folder) / "smtp", keep=False, fsync=False)
        with LocalStack(Path(folder), smtp=smtp) as stack:
            result = measure(Place(stack, Path(folder)), options.events)
    if options.json:
        print(json.dumps(asdict(result)))
        return
    print(f"{result.events} events of {len(MIX)} kinds in {result.seconds:.1f} s, one process, STARTTLS and AUTH")
    print(f"{result.events_per_second:8.0f} events/s")
    print(f"{result.cpu_ms_per_event:8.2f} CPU ms for each event")
    print(f"{result.connections:8d} SMTP connections")
    print(f"{result.peak_memory_mb:8.0f} MB peak memory")


def measure(place: Place, events: int) -> Result:
    with place.service(LOG_LEVEL="INFO"):
        """Once, so that queues, collection and indexes stand before anything is published."""
    place.publish(*(_publication(number) for number in range(events)))
    service = place.service(LOG_LEVEL="INFO")
    with service:
        cpu, started = _cpu_seconds(service), time.monotonic()
        # The mail server is asked, since counting records would load the database that is measured with.
        until(lambda: place.smtp.stats().mails >= events, timeout=600)
        seconds, spent = time.monotonic() - started, _cpu_seconds(service) - cpu
        until(lambda: place.database[RECORDS].count_documents({"outcome": "sent"}) == events)
        return Result(
            events,
            seconds,
            events / seconds,
            spent * 1000 / events,
            place.smtp.stats().connections,
            _peak_memory_mb(service),
        )


def _publication(number: int) -> Publication:
    kind = MIX[number % len(MIX)]
    changes = {"booking_id": _BOOKING} if kind == "payment.refunded" else {}
    return event(fresh(kind, **changes))


def _cpu_seconds(service: Service) -> float:
    fields = Path(f"/proc/{service.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def _peak_memory_mb(service: Service) -> float:
    status = Path(f"/proc/{service.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main()
