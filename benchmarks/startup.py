"""`make bench-start`: from the start of the process until it is ready, and until its first mail is taken."""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks import results
from benchmarks.material import publication
from tests.stack.local import LocalStack
from tests.stack.place import Place, until
from tests.stack.processes import exchange
from tests.stack.smtp import SmtpServer

_LOOK_AGAIN = 0.005
_MAX_LENGTH = 60.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with LocalStack(folder, smtp=SmtpServer(folder / "smtp", keep=False, fsync=False)) as stack:
            place = Place(stack, folder / "place")
            try:
                rows = starts(place, options.times)
            finally:
                place.close()
    results.show(f"seconds from the start of the process, median of {options.times}", rows)
    results.keep("startup", rows, times=options.times)


def starts(place: Place, times: int) -> list[results.Row]:
    """Start the service so many times with one event waiting for it, everything else being up."""
    with place.service(LOG_LEVEL="INFO"):
        """Once, so that queues, collection and indexes stand."""
    ready: list[float] = []
    mailed: list[float] = []
    for number in range(times):
        place.publish(publication(number))
        for found, seconds in zip((ready, mailed), _start(place), strict=True):
            found.append(seconds)
    pairs = (("ready", ready), ("first mail taken", mailed))
    return [{"until": what, "median": median(each), "least": min(each), "most": max(each)} for what, each in pairs]


def _start(place: Place) -> tuple[float, float]:
    service, before = place.service(LOG_LEVEL="INFO"), place.smtp.stats().mails
    started = time.monotonic()
    ready = mailed = 0.0
    service.start()
    try:
        while not (ready and mailed):
            passed = time.monotonic() - started
            if passed > _MAX_LENGTH or not service.running:
                raise AssertionError(f"no mail after {passed:.1f} s; see {service.log}")
            if not mailed and place.smtp.stats().mails > before:
                mailed = time.monotonic() - started
            if not ready and _answers(service.port):
                ready = time.monotonic() - started
            time.sleep(_LOOK_AGAIN)
        until(lambda: place.depth("notification.booking_events") + place.depth("notification.payment_events") == 0)
    finally:
        service.stop()
    return ready, mailed


def _answers(port: int) -> bool:
    return exchange(port, b"GET /readyz HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200")


if __name__ == "__main__":
    main()
