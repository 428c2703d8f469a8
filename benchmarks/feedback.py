"""`make bench-feedback`: what signed webhooks and clicks beside them change in the waits of mails, and what each takes.

Mails come in an open load at half of what the service can do. In every second round, beside them, 200 clicks a second
go to the public listener, which is a process of its own, and in the middle a burst of 1,000 webhooks, each signed and
about a mail that was sent. The worker stores all of them meanwhile, as it does in production. In the rounds between
nothing is asked of the listener. Which comes first changes from round to round.
"""

import argparse
import asyncio
import base64
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from benchmarks import results
from benchmarks.clicks import LINK_KEYS, Load, percentile
from benchmarks.latency import under_load
from benchmarks.measuring import cpu_seconds, fresh_place, measure
from benchmarks.programs import CONNECTIONS, OURS, PREFETCH, PROGRAMS, ROOT
from tests.stack.local import LocalStack
from tests.stack.place import RECORDS, Place, Service
from tests.stack.processes import free_port
from tests.stack.smtp import SmtpServer

_SENDERS = 16
"""Connections of the burst; SendGrid opens several at once."""
_KEY = ec.derive_private_key(20261129, ec.SECP256R1())
"""Of both processes; it signs nothing else."""
_NOTHING = dict.fromkeys(("click p50", "click p99", "webhook p50", "webhook p99", "burst s", "CPU ms each"), "")
SETTINGS = {
    "LOG_LEVEL": "INFO",
    "RABBITMQ_PREFETCH": str(PREFETCH),
    "SMTP_POOL_SIZE": str(CONNECTIONS),
    "CALLBACK_URL": "https://links.example",
    "LINK_KEYS": LINK_KEYS,
    "LINK_HOSTS": "cinema.example",
    "SENDGRID_WEBHOOK_KEYS": base64.b64encode(
        _KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).decode(),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="of each, with and without, in turn")
    parser.add_argument("--seconds", type=float, default=15, help="how long the mails of one round come")
    parser.add_argument("--events", type=int, default=1000, help="of the backlog by which a throughput is found")
    parser.add_argument("--clicks", type=int, default=200, help="a second")
    parser.add_argument("--webhooks", type=int, default=1000, help="in the burst")
    parser.add_argument("--ask", help="used by the program itself")
    options = parser.parse_args()
    if options.ask:
        sys.stdout.write(json.dumps(asyncio.run(_ask(json.loads(options.ask)))))
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with LocalStack(folder, smtp=SmtpServer(folder / "smtp", keep=False, fsync=False)) as stack:
            with fresh_place(stack, folder / "most") as place:
                most = measure(place, place.service(**SETTINGS), options.events, RECORDS).events_per_second
            rows = list(_rounds(stack, folder, options, most / 2))
    results.show(f"publish to 250 at {most / 2:.0f} mails a second, ms, and what the listener takes", rows)
    results.keep("feedback", rows, throughput={OURS: most})
    results.show("medians over the rounds, with their 95 % intervals", list(_summary(rows)))
    return 0


def _rounds(stack: LocalStack, folder: Path, options: argparse.Namespace, rate: float) -> Iterator[results.Row]:
    for number in range(options.rounds):
        for busy in (False, True) if number % 2 == 0 else (True, False):
            with fresh_place(stack, folder / f"round-{number}-{busy}") as place:
                load = {"clicks": options.clicks, "webhooks": options.webhooks, "seconds": options.seconds}
                yield {"round": number + 1, **one_round(place, rate, options.seconds, load if busy else {})}


def one_round(place: Place, rate: float, seconds: float, load: Mapping[str, float]) -> dict[str, str | int | float]:
    """The waits of mails, and where there is a `load` what each of its requests took."""
    program = next(each for each in PROGRAMS if each.name == OURS)
    listener = place.service(CALLBACK_PORT=str(free_port()), **SETTINGS)
    listener.arguments = ("callbacks",)
    asked: dict[str, str | float] = dict(_NOTHING)

    @contextmanager
    def beside() -> Iterator[None]:
        if not load:
            yield
            return
        ids = [str(each["_id"]) for each in place.database[RECORDS].find({"outcome": "sent"}, {"_id": 1})]
        with _asking(listener, ids, load) as found:
            yield
        asked.update(found)

    with listener:
        row = under_load(place, place.service(**SETTINGS), program, rate, int(rate * seconds), beside=beside)
    mails = {f"mails {name}": row[name] for name in ("p50", "p99", "max")}
    return {"beside": "webhooks, clicks" if load else "nothing", **mails, **asked}


@contextmanager
def _asking(listener: Service, ids: Sequence[str], load: Mapping[str, float]) -> Iterator[dict[str, float]]:
    """Clicks and webhooks from a process of its own; the dictionary is filled when the block has ended."""
    order = {"port": int(listener.environment()["CALLBACK_PORT"]), "ids": ids, **load}
    command = [sys.executable, "-m", "benchmarks.feedback", "--ask", json.dumps(order)]
    found: dict[str, float] = {}
    before = cpu_seconds(listener)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise RuntimeError("the load did not start")
        yield found
        answer, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"the load ended with {process.returncode}")
    found.update(json.loads(answer))
    requests = load["clicks"] * load["seconds"] + load["webhooks"]
    found["CPU ms each"] = (cpu_seconds(listener) - before) * 1000 / requests


async def _ask(order: Mapping[str, object]) -> dict[str, float]:
    """Clicks all the time, and the burst in the middle of it. Raises `AssertionError` for any other answer than due."""
    port, seconds = int(str(order["port"])), float(str(order["seconds"]))
    ids = order["ids"]
    if not isinstance(ids, list) or not ids:
        raise TypeError("the webhooks are about mails that were sent")
    requests = [_webhook(number, str(ids[number % len(ids)])) for number in range(int(str(order["webhooks"])))]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    clicks = Load(port, int(str(order["clicks"])), seconds)
    _, (waits, took) = await asyncio.gather(clicks.run(), _burst(port, requests, seconds / 2))
    return {
        "click p50": percentile(clicks.latencies_ms, 0.5),
        "click p99": percentile(clicks.latencies_ms, 0.99),
        "webhook p50": percentile(waits, 0.5),
        "webhook p99": percentile(waits, 0.99),
        "burst s": took,
    }


def _webhook(number: int, notification_id: str) -> bytes:
    at = str(int(time.time()))
    told = {"event": "delivered", "email": "jane.smith@example.com", "timestamp": int(at), "response": "250 OK"}
    body = json.dumps([{**told, "sg_event_id": f"bench-{number}", "notification_id": notification_id}]).encode()
    signature = base64.b64encode(_KEY.sign(at.encode() + body, ec.ECDSA(SHA256()))).decode()
    head = (
        "POST /cb/sendgrid HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"X-Twilio-Email-Event-Webhook-Signature: {signature}\r\n"
        f"X-Twilio-Email-Event-Webhook-Timestamp: {at}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _burst(port: int, requests: Sequence[bytes], wait: float) -> tuple[list[float], float]:
    """All of them as fast as they are answered: milliseconds of each, and seconds of the whole."""
    await asyncio.sleep(wait)
    left, waits, begun = list(requests), list[float](), time.perf_counter()

    async def sender() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while left:
            sent = time.perf_counter()
            writer.write(left.pop())
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise AssertionError(head)
            waits.append((time.perf_counter() - sent) * 1000)
        writer.close()

    await asyncio.gather(*(sender() for _ in range(_SENDERS)))
    return waits, time.perf_counter() - begun


def _summary(rows: Sequence[results.Row]) -> Iterator[results.Row]:
    for beside in dict.fromkeys(str(row["beside"]) for row in rows):
        of_it = [row for row in rows if row["beside"] == beside]
        yield {
            "beside": beside,
            **{name: _told([row[name] for row in of_it]) for name in of_it[0] if name not in _KEYS},
        }


_KEYS = ("round", "beside")


def _told(values: Sequence[str | float]) -> str:
    numbers = [float(each) for each in values if not isinstance(each, str)]
    if not numbers:
        return ""
    low, high = results.interval(numbers)
    return f"{statistics.median(numbers):.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    sys.exit(main())
