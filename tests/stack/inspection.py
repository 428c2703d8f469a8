"""What can be seen of a service from outside: its gauges, its memory, and whether it ended well (I4)."""

import urllib.request
from pathlib import Path

from tests.stack.place import Document, Service, until

PATIENCE = 60
_NEVER = {"job.failed", "delivery.failed", "delivery.unsettled"}


def gauge(service: Service, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{service.port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))


def most_memory(service: Service) -> int:
    """The most bytes that the process has held in memory so far."""
    lines = Path(f"/proc/{service.pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def end_well(*services: Service) -> None:
    """SIGTERM, after which nothing may be left in hand, and nothing may have gone wrong unforeseen."""
    for service in services:
        service.terminate()
    for service in services:
        until(lambda service=service: service.exit_code == "0", timeout=PATIENCE)  # type: ignore[misc]
        unforeseen = [line for line in service.lines() if line["event"] in _NEVER or _is_our_traceback(line)]
        assert not unforeseen, f"I4: {unforeseen}"
        assert service.said("service.drained")[-1]["unfinished"] == 0


def _is_our_traceback(line: Document) -> bool:
    """aiormq describes every lost connection with one; anything else that has one was not foreseen."""
    return "exception" in line and line["logger"] != "aiormq.connection"
