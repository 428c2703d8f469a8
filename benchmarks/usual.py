"""The usual hand-written worker: aio-pika, `SET NX`, a cached template, `aiosmtplib.send` each time, `insert_one`."""

import asyncio
import json
import os
import signal
import ssl
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import formataddr, make_msgid
from pathlib import Path
from typing import Any

import aio_pika
import aiosmtplib
from aio_pika.abc import AbstractIncomingMessage
from jinja2 import Environment, FileSystemLoader, select_autoescape
from motor.motor_asyncio import AsyncIOMotorClient
from redis.asyncio import Redis

E = os.environ
MATERIAL = Path(E["BENCH_MATERIAL"])

templates = Environment(loader=FileSystemLoader(MATERIAL), autoescape=select_autoescape(["html"]), auto_reload=False)
subjects = {kind: (MATERIAL / f"{kind}.subject").read_text("utf-8") for kind in E["BENCH_KINDS"].split(",")}
# One for all: many build one for each mail, which alone costs tens of milliseconds.
tls = ssl.create_default_context(cafile=E["SMTP_CA_FILE"])


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    redis = Redis.from_url(E["REDIS_URL"])
    mongo: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(E["MONGODB_URI"])
    audit = mongo[E["MONGODB_DATABASE"]][E["BENCH_AUDIT"]]

    async def on_message(message: AbstractIncomingMessage) -> None:
        async with message.process():
            event = json.loads(message.body)
            if not await redis.set(f"sent:{event['event_id']}", "1", nx=True, ex=86400):
                return
            mail = compose(event)
            await aiosmtplib.send(
                mail,
                hostname=E["SMTP_SERVER"],
                port=int(E["SMTP_PORT"]),
                username=E["SMTP_USERNAME"],
                password=E["SMTP_PASSWORD"],
                start_tls=True,
                tls_context=tls,
            )
            await audit.insert_one(
                {
                    "event_id": event["event_id"],
                    "event_type": event["event_type"],
                    "recipient": mail["To"],
                    "message_id": mail["Message-ID"],
                    "outcome": "sent",
                    "sent_at": datetime.now(UTC),
                }
            )

    connection = await aio_pika.connect_robust(E["RABBITMQ_URL"])
    async with connection, connection.channel() as channel:
        await channel.set_qos(prefetch_count=int(E["BENCH_PREFETCH"]))
        for name in E["BENCH_QUEUES"].split(","):
            queue = await channel.get_queue(name, ensure=False)
            await queue.consume(on_message)
        await stop.wait()
    await redis.aclose()
    mongo.close()


def compose(event: dict[str, Any]) -> EmailMessage:
    kind = event["event_type"]
    mail = EmailMessage()
    mail["From"] = formataddr((E["FROM_NAME"], E["FROM_EMAIL"]))
    mail["To"] = event.get("user_email") or "jane.smith@example.com"
    mail["Subject"] = subjects[kind]
    mail["Message-ID"] = make_msgid(domain="cinema.example")
    mail.set_content(templates.get_template(f"{kind}.txt").render(event))
    mail.add_alternative(templates.get_template(f"{kind}.html").render(event), subtype="html")
    return mail


if __name__ == "__main__":
    asyncio.run(main())
