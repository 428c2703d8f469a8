"""`make bench-channels`: what SMS and push cost, and that a dead provider of SMS delays no e-mail.

First the mails of an open load are timed before, while and after the provider of SMS answers nothing, for SECONDS
together. Then the CPU of an SMS and of a push is measured beside an e-mail about the same event, in rounds that take
turns; then what each channel adds to a worker's memory. It fails where an aim is missed.
"""

import argparse
import asyncio
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import aio_pika

from benchmarks import results
from benchmarks.channel_providers import Providers
from benchmarks.latency import publish_when_due, waits_ms
from benchmarks.measuring import cpu_seconds, fresh_place, memory_mb
from tests.samples import fresh
from tests.stack.local import LocalStack
from tests.stack.place import RECORDS, Place, Service, until
from tests.stack.publisher import Publication, event
from tests.stack.smtp import SmtpServer
from tests.stack.sns import Sns

_RATE = 20.0
_SETTLES = 120.0
_SHORTEST_S = 10.0
_NUMBERS = itertools.count(10_000_000)
_QUEUES = {"email": "notification.booking_events", "sms": "notification.sms", "push": "notification.push"}
_TOKEN = "fcm-token-" + "a" * 130
_MESSAGES_FOR_MEMORY = 50
_MAX_MB = {"Twilio": 25, "SNS": 55, "FCM and APNs": 25}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600, help="how long the provider of SMS answers nothing")
    parser.add_argument("--rounds", type=int, default=6, help="of the comparison of CPU")
    parser.add_argument("--messages", type=int, default=200, help="of each kind in a round")
    parser.add_argument("--starts", type=int, default=3, help="of a worker with each channel")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        smtp = SmtpServer(folder / "smtp", keep=False, fsync=False)
        with LocalStack(folder, smtp=smtp) as stack, Providers(folder / "providers") as providers:
            with fresh_place(stack, folder / "waits") as place:
                waits = beside_a_dead_provider(place, providers, options.seconds)
            results.show("from due to taken by the mail server, beside SMS, ms", waits)
            with fresh_place(stack, folder / "costs") as place:
                costs = paired(place, providers, options.rounds, options.messages)
            results.show("CPU ms a message", costs)
            with fresh_place(stack, folder / "memory") as place:
                memory = grown(place, providers, options.starts)
            results.show("memory of a worker after some messages", memory)
    results.keep("channels", waits, costs=costs, memory=memory)
    return _verdict(waits, costs, memory)


def beside_a_dead_provider(
    place: Place, providers: Providers, seconds: float, rate: float = _RATE
) -> list[results.Row]:
    """Mails before, in both halves of the time without an answer, and after it. The rest is a tenth of it each."""
    rows: list[results.Row] = []
    phases = (
        ("before", 0.1, False),
        ("it hangs", 0.5, True),
        ("it still hangs", 0.5, True),
        ("it answers", 0.1, False),
    )
    with place.service(LOG_LEVEL="WARNING", **providers.sms) as service:
        _timed(place, _people("warm", 40), rate)
        for phase, share, providers.hangs in phases:
            taken, cpu, started = providers.taken["sms"], cpu_seconds(service), time.monotonic()
            waited = _timed(
                place,
                _people(phase.replace(" ", "-"), int(max(seconds * share, min(seconds, _SHORTEST_S)) * rate)),
                rate,
            )
            spent = (cpu_seconds(service) - cpu) / (time.monotonic() - started)
            sent = providers.taken["sms"] - taken
            rows.append({"SMS": phase, **waited, "CPU of the worker, %": round(spent * 100), "SMS sent": sent})
    return rows


def _timed(place: Place, people: Sequence[str], rate: float) -> dict[str, float]:
    ahead, before = len(place.smtp.mails()), place.smtp.stats().mails
    publications = [(each, _cancelled(each)) for each in people]
    due = asyncio.run(publish_when_due(place.amqp_url, publications, rate))
    until(lambda: place.smtp.stats().mails - before >= len(people), timeout=_SETTLES)
    until(lambda: len(place.smtp.mails()) - ahead >= len(people), timeout=_SETTLES)  # counted before it is written
    return {"mails": len(people), **waits_ms(place, ahead, due)}


def _people(phase: str, count: int) -> list[str]:
    return [f"{phase}-{number}" for number in range(count)]


def _cancelled(name: str = "jane") -> Publication:
    number = f"+49151{next(_NUMBERS):08}"
    return event(fresh("booking.cancelled", user_email=f"{name}@example.com", phone=number, device_tokens=[_TOKEN]))


def paired(place: Place, providers: Providers, rounds: int, messages: int) -> list[results.Row]:
    """The median CPU of each kind over the rounds, that of its double, and its ratio to the e-mail of its round."""
    ours: dict[str, list[float]] = {kind: [] for kind in _QUEUES}
    double: dict[str, list[float]] = {kind: [] for kind in _QUEUES}
    everything = {**providers.sms, **providers.environment}
    with place.service(LOG_LEVEL="INFO", **everything) as service:
        for number in range(rounds + 1):
            kinds = list(_QUEUES)
            for kind in kinds[number % 3 :] + kinds[: number % 3]:
                spent, spent_there = _worked_off(place, providers, service, kind, messages)
                if number:  # the first one warms up
                    ours[kind].append(spent)
                    double[kind].append(spent_there)
    return [_cost(kind, ours, double) for kind in _QUEUES]


def _cost(kind: str, ours: Mapping[str, Sequence[float]], double: Mapping[str, Sequence[float]]) -> results.Row:
    ratios = [one / mail for one, mail in zip(ours[kind], ours["email"], strict=True)]
    low, high = results.interval(ours[kind])
    return {
        "message": kind,
        "CPU ms": statistics.median(ours[kind]),
        "interval": f"{low:.2f} to {high:.2f}",
        "beside an e-mail": statistics.median(ratios),
        "its double's CPU ms": statistics.median(double[kind]),
    }


def _worked_off(place: Place, providers: Providers, service: Service, kind: str, messages: int) -> tuple[float, float]:
    """CPU ms a message: of the worker, and of what answers it. The events go to the queue of this kind alone."""

    def of_the_double() -> float:
        return cpu_seconds(place.smtp) if kind == "email" else providers.cpu_seconds

    done = _sent(place, kind)
    cpu, there = cpu_seconds(service), of_the_double()
    asyncio.run(_fill(place.amqp_url, _QUEUES[kind], [_cancelled() for _ in range(messages)]))
    until(lambda: _sent(place, kind) - done >= messages, timeout=_SETTLES)
    return (cpu_seconds(service) - cpu) * 1000 / messages, (of_the_double() - there) * 1000 / messages


def _sent(place: Place, kind: str) -> int:
    time.sleep(0.1)  # the store is asked seldom: it works for what is measured
    return place.database[RECORDS].count_documents({"notification_type": kind, "outcome": "sent"})


async def _fill(url: str, queue: str, publications: Sequence[Publication]) -> None:
    connection = await aio_pika.connect(url)
    async with connection, connection.channel() as channel:
        messages = [
            aio_pika.Message(each.body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT) for each in publications
        ]
        await asyncio.gather(*(channel.default_exchange.publish(each, queue) for each in messages))


def grown(place: Place, providers: Providers, starts: int) -> list[results.Row]:
    """The resident memory of workers that are started as an operator does, after the same mails and their messages."""
    providers.hangs = False
    with Sns() as sns:
        settings: dict[str, tuple[str | None, Mapping[str, str]]] = {
            "mail alone": (None, {}),
            "Twilio": ("sms", providers.sms),
            "SNS": ("sms", {**sns.environment, "SMS_EVENTS": "booking.cancelled"}),
            "FCM and APNs": ("push", providers.environment),
            "Twilio, FCM and APNs": ("push", {**providers.sms, **providers.environment}),
        }
        found: dict[str, list[float]] = {name: [] for name in settings}
        for _ in range(starts):
            for name, (kind, changes) in settings.items():
                found[name].append(_memory(place, kind, changes))
    alone = statistics.median(found["mail alone"])
    return [
        {
            "worker": name,
            "MB": statistics.median(each),
            "of": f"{min(each):.1f} to {max(each):.1f}",
            "MB more": statistics.median(each) - alone,
        }
        for name, each in found.items()
    ]


def _memory(place: Place, kind: str | None, changes: Mapping[str, str]) -> float:
    with place.service(LOG_LEVEL="WARNING", **changes) as service:
        done = {each: _sent(place, each) for each in ("email", *([kind] if kind else []))}
        place.publish(*(_cancelled() for _ in range(_MESSAGES_FOR_MEMORY)))
        for each, before in done.items():
            until(_reached(place, each, before + _MESSAGES_FOR_MEMORY), timeout=_SETTLES)
        return memory_mb(service, "VmRSS")


def _reached(place: Place, kind: str, count: int) -> Callable[[], bool]:
    return lambda: _sent(place, kind) >= count


def _verdict(waits: Sequence[results.Row], costs: Sequence[results.Row], memory: Sequence[results.Row]) -> int:
    """What missed its aim. The times of mails are for the reader: they depend on what else the machine does."""
    shares = {str(row["message"]): float(row["beside an e-mail"]) for row in costs}
    more = {str(row["worker"]): float(row["MB more"]) for row in memory}
    missed = [f"a message by {kind} costs {share:.2f} e-mails" for kind, share in shares.items() if share > 1]
    missed += [
        f"{name}: {more[name]:.1f} MB more, and {most} are allowed"
        for name, most in _MAX_MB.items()
        if more[name] > most
    ]
    before, *during = (float(row["p99"]) for row in waits[:3])
    print(json.dumps({"p99 beside a dead provider, of that before": [round(each / before, 2) for each in during]}))
    print("\n".join(missed or ["every aim of CPU and memory is reached"]))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
