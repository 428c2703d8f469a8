"""`make bench-costs`: the CPU that one event takes of each program, for the model of `scale_model.py`."""

import argparse
import os
import tempfile
import time
from pathlib import Path

from benchmarks import results
from benchmarks.material import publication
from benchmarks.measuring import fresh_place
from benchmarks.programs import CONNECTIONS, PREFETCH
from tests.stack.local import LocalStack
from tests.stack.place import until
from tests.stack.smtp import SmtpServer

_TICK = os.sysconf("SC_CLK_TCK")
_MAX_LENGTH = 300.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1500)
    events = parser.parse_args().events
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            LocalStack(folder, smtp=SmtpServer(folder / "smtp", keep=False, fsync=False, chunking=True)) as stack,
            fresh_place(stack, folder / "place") as place,
        ):
            parts = {"RabbitMQ": stack.broker, "Redis": stack.redis, "MongoDB's stand-in": stack.mongo}
            before = {what: _tree_cpu(part.pid) for what, part in parts.items()}
            place.publish(*(publication(number) for number in range(events)))
            mails = place.smtp.stats().mails
            service = place.service(LOG_LEVEL="INFO", RABBITMQ_PREFETCH=str(PREFETCH), SMTP_POOL_SIZE=str(CONNECTIONS))
            started = time.monotonic()
            with service:
                # Its start is another figure.
                first = until(lambda: place.smtp.stats().mails - mails, timeout=_MAX_LENGTH)
                begun = _tree_cpu(service.pid)
                until(lambda: place.smtp.stats().mails - mails >= events, timeout=_MAX_LENGTH)
                seconds = time.monotonic() - started
                spent = {"worker": (_tree_cpu(service.pid) - begun) * events / (events - first)}
                spent |= {what: _tree_cpu(part.pid) - before[what] for what, part in parts.items()}
    rows: list[results.Row] = [{"program": what, "CPU ms an event": cpu * 1000 / events} for what, cpu in spent.items()]
    results.show(f"{events} events in {seconds:.0f} s", rows)
    results.keep("scale_costs", rows, events=events)


def _tree_cpu(pid: int) -> float:
    """Seconds of CPU of a process and of those below it."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    return (int(fields[11]) + int(fields[12])) / _TICK + sum(_tree_cpu(int(child)) for child in children)


if __name__ == "__main__":
    main()
