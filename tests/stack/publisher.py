"""Publishes events as the booking system does, and writes down, with fsync, what the broker confirmed."""

import asyncio
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aio_pika

EXCHANGE = "movie_app_events"
_AT_ONCE = 200


@dataclass(frozen=True)
class Publication:
    routing_key: str
    body: bytes
    message_id: str | None = None
    headers: Mapping[str, str] | None = None


def event(data: Mapping[str, Any], routing_key: str | None = None) -> Publication:
    return Publication(routing_key or str(data["event_type"]), json.dumps(data).encode())


def publish(url: str, publications: Iterable[Publication], ledger: Path | None = None) -> None:
    """Publish persistently with confirms; `ledger` gets the bodies that were confirmed, one line each."""
    asyncio.run(_publish(url, list(publications), ledger))


async def _publish(url: str, publications: list[Publication], ledger: Path | None) -> None:
    connection = await aio_pika.connect(url)
    async with connection, connection.channel() as channel:
        exchange = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
        for start in range(0, len(publications), _AT_ONCE):
            group = publications[start : start + _AT_ONCE]
            await asyncio.gather(
                *(exchange.publish(_message(each), each.routing_key, mandatory=False) for each in group)
            )
            if ledger is not None:
                _write(ledger, group)


def _message(publication: Publication) -> aio_pika.Message:
    return aio_pika.Message(
        publication.body,
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=publication.message_id,
        headers=dict(publication.headers or {}),
    )


def _write(ledger: Path, publications: list[Publication]) -> None:
    with ledger.open("ab") as file:
        file.writelines(each.body.replace(b"\n", b" ") + b"\n" for each in publications)
        file.flush()
        os.fsync(file.fileno())
