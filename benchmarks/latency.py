"""`make bench-latency`: from the moment an event was due to be published until the mail server took its mail.

The load is open: each event has its moment on a schedule, whatever became of those before it, and its wait counts from
that moment. So a program that stands still pays for all who would have come meanwhile (no coordinated omission).
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

import aio_pika

from benchmarks import material, results
from benchmarks.measuring import fresh_place, measure
from benchmarks.programs import FLOOR, OURS, PROGRAMS, Missing, Program
from tests.samples import fresh
from tests.stack.local import LocalStack
from tests.stack.place import Place, until
from tests.stack.processes import Part
from tests.stack.publisher import EXCHANGE, Publication, event
from tests.stack.smtp import SmtpServer

KINDS = ("booking.confirmed", "payment.success", "booking.cancelled", "payment.failed")
"""The mix without refunds, which name nobody: the address tells here which mail is whose."""

WARM = 32
_SETTLES = 120.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30, help="how long the schedule of each row is")
    parser.add_argument("--events", type=int, default=1000, help="of the backlog by which a throughput is found")
    parser.add_argument("--programs", default=f"{FLOOR},{OURS},node")
    options = parser.parse_args()
    names = options.programs.split(",")
    rows: list[results.Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ready = material.write(folder / "material")
        with LocalStack(folder, smtp=SmtpServer(folder / "smtp", keep=False, fsync=False)) as stack:
            most: dict[str, float] = {}
            for program in (each for each in PROGRAMS if each.name in (FLOOR, OURS)):
                with fresh_place(stack, folder / f"most-{program.name}") as place:
                    part = program.part(place, ready, program.prepare())
                    most[program.name] = measure(place, part, options.events, program.audit).events_per_second
            for program in (each for each in PROGRAMS if each.name in names):
                try:
                    command = program.prepare()
                except Missing as problem:
                    print(f"{program.name} is left out: {problem}")
                    continue
                for of in (OURS, FLOOR):
                    with fresh_place(stack, folder / f"{program.name}-at-{of}") as place:
                        part, rate = program.part(place, ready, command), most[of] / 2
                        row = under_load(place, part, program, rate, int(rate * options.seconds))
                        rows.append({"program": program.name, "load": f"half of {of}", **row})
    results.show("publish to 250 under an open load, ms", rows)
    results.keep("latency", rows, throughput=most)


def under_load(
    place: Place,
    part: Part,
    program: Program,
    rate: float,
    events: int,
    *,
    beside: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> dict[str, float | int]:
    """Milliseconds from each event's moment to its `250`, at `rate` events a second; the first ones only warm up.

    `beside`: what else goes on while they come, entered after the warming up.
    """
    total = WARM + events
    _add_people(place, total)
    ahead = len(place.smtp.mails())
    part.start()
    try:
        if program.name == OURS:
            part.wait_ready()
        asyncio.run(publish_when_due(place.amqp_url, _publications(range(WARM)), rate=min(rate, 50)))
        until(lambda: _accepted(place, ahead) >= WARM, timeout=_SETTLES)
        with beside():
            due = asyncio.run(publish_when_due(place.amqp_url, _publications(range(WARM, total)), rate=rate))
        until(lambda: _accepted(place, ahead) >= total, timeout=_SETTLES)
    finally:
        part.stop()
    return {"events": events, "events/s": round(rate, 1), **waits_ms(place, ahead, due)}


def waits_ms(place: Place, ahead: int, due: Mapping[str, float]) -> dict[str, float]:
    """What each person's mail waited. `due`: the moments, by the name before the @. `ahead`: the mails before them."""
    taken = {mail.rcpt_to[0].partition("@")[0]: mail.at for mail in place.smtp.mails()[ahead:]}
    waits = sorted((datetime.fromisoformat(taken[name]).timestamp() - moment) * 1000 for name, moment in due.items())
    shares = {f"p{round(share * 100)}": _percentile(waits, share) for share in (0.5, 0.9, 0.99)}
    return {**shares, "max": waits[-1]}


def _accepted(place: Place, ahead: int) -> int:
    return place.smtp.stats().mails - ahead


def _percentile(waits: Sequence[float], share: float) -> float:
    return waits[min(len(waits) - 1, int(len(waits) * share))]


def _add_people(place: Place, events: int) -> None:
    people = [{"_id": _name(number), "email": f"{_name(number)}@example.com"} for number in range(events)]
    place.database["users"].insert_many(people)


def _name(number: int) -> str:
    return f"guest{number}"


def _publication(number: int) -> Publication:
    name = _name(number)
    data: dict[str, Any] = fresh(KINDS[number % len(KINDS)], user_id=name, user_email=f"{name}@example.com")
    made = event(data)
    return Publication(made.routing_key, made.body, name)


def _publications(numbers: range) -> list[tuple[str, Publication]]:
    return [(_name(number), _publication(number)) for number in numbers]


async def publish_when_due(url: str, publications: Sequence[tuple[str, Publication]], rate: float) -> dict[str, float]:
    """Publish each at its moment, and return the moments by the name that stands before each."""
    connection = await aio_pika.connect(url)
    async with connection, connection.channel() as channel:
        exchange = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
        start = time.time() + 0.2
        due = {name: start + number / rate for number, (name, _) in enumerate(publications)}
        confirms: list[asyncio.Task[Any]] = []
        for name, publication in publications:
            if (early := due[name] - time.time()) > 0:
                await asyncio.sleep(early)
            message = aio_pika.Message(
                publication.body,
                content_type="application/json",
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                message_id=publication.message_id,
            )
            confirms.append(asyncio.create_task(exchange.publish(message, publication.routing_key, mandatory=False)))
        await asyncio.gather(*confirms)
    return due


if __name__ == "__main__":
    main()
