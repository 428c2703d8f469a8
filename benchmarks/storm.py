"""`make bench-storm`: a cinema cancels a show, and everybody else's tickets.

At one moment STORM refunds and cancellations to one domain are published; from the same moment on twenty tickets a
second, to other domains. Each ticket's wait counts from the moment that it was due to be published.
"""

import argparse
import asyncio
import itertools
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import aio_pika

from benchmarks import results
from benchmarks.measuring import fresh_place
from tests.samples import fresh
from tests.stack.local import LocalStack
from tests.stack.place import Place
from tests.stack.publisher import EXCHANGE, Publication, event
from tests.stack.smtp import SmtpServer

LIMITED = "mail.example"
_A_SECOND = 20.0
_KINDS = ("booking.cancelled", "booking.refunded")
_SETTLES = 3.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storm", type=int, default=5000)
    parser.add_argument("--limit", type=int, default=1200, help="mails a minute to the domain of the storm")
    parser.add_argument("--seconds", type=float, default=90, help="how long tickets come")
    options = parser.parse_args()
    rows: list[results.Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with LocalStack(folder, smtp=SmtpServer(folder / "smtp", keep=False, fsync=False)) as stack:
            storms = ((0, 0), (options.storm, options.limit), (options.storm, 0))
            for (storm, limit), express in itertools.product(storms, (False, True)):
                with fresh_place(stack, folder / f"storm-{storm}-{limit}-{express}") as place:
                    rows.append(weathered(place, storm, limit, options.seconds, express=express))
    results.show("tickets beside a storm, ms", rows)
    results.keep("storm", rows)


def weathered(
    place: Place, storm: int, limit: int, seconds: float, *, express: bool = False
) -> dict[str, str | int | float]:
    """What tickets waited, and the most that the limited domain got in a minute; `limit` 0: none."""
    quota = {"DOMAIN_MAILS_PER_MINUTE": f'{{"{LIMITED}": {limit}}}'}
    ahead, tickets = len(place.smtp.mails()), int(seconds * _A_SECOND)
    lane = str(express).lower()
    with place.service(LOG_LEVEL="WARNING", RABBITMQ_EXPRESS_LANE=lane, **quota) as service:
        due = asyncio.run(_publish(place.amqp_url, _storm(storm), tickets))
        deadline = time.monotonic() + 120
        while _tickets(place, ahead).keys() < due.keys() and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(_SETTLES)
        service.stop()
    taken = _tickets(place, ahead)
    waits = sorted((at - due[name]) * 1000 for name, at in taken.items())
    limited = sorted(_at(mail) for mail in place.smtp.mails()[ahead:] if mail.rcpt_to[0].endswith(f"@{LIMITED}"))
    return {
        "storm": storm,
        "limit a minute": limit or "none",
        "express lane": "on" if express else "off",
        "tickets": f"{len(taken)} of {tickets}",
        "p50": waits[len(waits) // 2],
        "p99": waits[int(len(waits) * 0.99)],
        "max": waits[-1],
        "storm sent meanwhile": len(limited),
        "most in a minute": most_in_a_minute(limited),
    }


def most_in_a_minute(moments: Sequence[float]) -> int:
    first, most = 0, 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= 60:
            first += 1
        most = max(most, last - first + 1)
    return most


def _tickets(place: Place, ahead: int) -> dict[str, float]:
    mails = place.smtp.mails()[ahead:]
    return {mail.rcpt_to[0]: _at(mail) for mail in mails if not mail.rcpt_to[0].endswith(f"@{LIMITED}")}


def _at(mail: Any) -> float:  # noqa: ANN401 - the sink's
    return datetime.fromisoformat(mail.at).timestamp()


def _storm(size: int) -> list[Publication]:
    return [
        event(fresh(_KINDS[number % len(_KINDS)], user_email=f"guest{number}@{LIMITED}", showtime=None))
        for number in range(size)
    ]


async def _publish(url: str, storm: Sequence[Publication], tickets: int) -> dict[str, float]:
    """The storm as fast as it goes, the tickets each at its moment; the moments by address."""
    ready = [event(fresh("booking.confirmed", user_email=_guest(number))) for number in range(tickets)]
    connection = await aio_pika.connect(url)
    async with connection, connection.channel() as channel:
        exchange = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)

        def send(publication: Publication) -> asyncio.Task[Any]:
            message = aio_pika.Message(
                publication.body,
                content_type="application/json",
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                message_id=publication.message_id,
            )
            return asyncio.create_task(exchange.publish(message, publication.routing_key, mandatory=False))

        confirms = [send(each) for each in storm]
        await asyncio.sleep(0)
        start = time.time() + 0.1
        due = {_guest(number): start + number / _A_SECOND for number in range(tickets)}
        for number, publication in enumerate(ready):
            if (early := due[_guest(number)] - time.time()) > 0:
                await asyncio.sleep(early)
            confirms.append(send(publication))
        await asyncio.gather(*confirms)
    return due


def _guest(number: int) -> str:
    return f"ticket{number}@d{number % 50}.example"


if __name__ == "__main__":
    main()
