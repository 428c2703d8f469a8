"""`make bench-stages`: where the CPU of an event goes, by a profile that adds up to the whole of the process."""

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import results
from benchmarks.material import publication
from benchmarks.measuring import cpu_seconds, fresh_place
from benchmarks.programs import CONNECTIONS, PREFETCH, ROOT
from tests.stack.local import LocalStack
from tests.stack.place import RECORDS, Place, Service, until
from tests.stack.smtp import SmtpServer

_MAX_LENGTH = 600.0
WARM = 50


class Profiled(Service):
    def command(self) -> Sequence[str]:
        return (sys.executable, "-m", "benchmarks.profiled")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            LocalStack(folder, smtp=SmtpServer(folder / "smtp", keep=False, fsync=False)) as stack,
            fresh_place(stack, folder / "place") as place,
        ):
            whole, stages = profile(place, options.events)
    rows: list[results.Row] = [
        {"stage": stage, "CPU ms/event": ms, "of the whole": f"{ms / whole:.0%}"} for stage, ms in stages.items()
    ]
    total = sum(stages.values())
    rows.append({"stage": "sum", "CPU ms/event": total, "of the whole": f"{total / whole:.0%}"})
    rows.append({"stage": "the process, by the kernel", "CPU ms/event": whole, "of the whole": "100%"})
    results.show(f"{options.events} events", rows)
    results.keep("stages", rows, events=options.events)


def profile(place: Place, events: int) -> tuple[float, Mapping[str, float]]:
    """CPU milliseconds an event: of the process as the kernel counts them, and of each stage, the largest first."""
    account = place.folder / "account.json"
    settings = {
        "LOG_LEVEL": "INFO",
        "RABBITMQ_PREFETCH": str(PREFETCH),
        "SMTP_POOL_SIZE": str(CONNECTIONS),
        "BENCH_ACCOUNT": str(account),
        "PYTHONPATH": str(ROOT),
    }
    service = Profiled(place.folder / "profiled", place.environment(**settings))
    with service:
        _work_off(place, WARM)
        os.kill(service.pid, signal.SIGUSR1)
        before = cpu_seconds(service)
        _work_off(place, events)
        spent = cpu_seconds(service) - before
        os.kill(service.pid, signal.SIGUSR2)
        until(account.exists)
    stages: dict[str, float] = json.loads(account.read_text("utf-8"))["stages"]
    largest_first = sorted(stages.items(), key=lambda each: -each[1])
    return spent * 1000 / events, {stage: seconds * 1000 / events for stage, seconds in largest_first}


def _work_off(place: Place, events: int) -> None:
    records = place.database[RECORDS]
    ahead = records.count_documents({"outcome": "sent"})
    mails = place.smtp.stats().mails
    place.publish(*(publication(number) for number in range(events)))
    until(lambda: place.smtp.stats().mails - mails >= events, timeout=_MAX_LENGTH)
    until(lambda: records.count_documents({"outcome": "sent"}) - ahead >= events, timeout=_MAX_LENGTH)


if __name__ == "__main__":
    main()
