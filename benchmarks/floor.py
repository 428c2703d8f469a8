"""The floor: consume, send ready bytes over kept connections, ack. No program on these libraries does less."""

import asyncio
import os
import signal
import ssl
from pathlib import Path

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from aiosmtplib import SMTP

E = os.environ


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    content = (Path(E["BENCH_MATERIAL"]) / "ready.eml").read_bytes()
    tls = ssl.create_default_context(cafile=E["SMTP_CA_FILE"])
    idle: asyncio.Queue[SMTP] = asyncio.Queue()
    for _ in range(int(E["BENCH_CONNECTIONS"])):
        client = SMTP(
            hostname=E["SMTP_SERVER"],
            port=int(E["SMTP_PORT"]),
            username=E["SMTP_USERNAME"],
            password=E["SMTP_PASSWORD"],
            start_tls=True,
            tls_context=tls,
        )
        await client.connect()
        idle.put_nowait(client)

    async def on_message(message: AbstractIncomingMessage) -> None:
        client = await idle.get()
        await client.mail(E["FROM_EMAIL"])
        # An address for each, by which the sink's ledger tells which message became which mail.
        await client.rcpt(f"{message.message_id}@example.com")
        await client.data(content)
        idle.put_nowait(client)
        await message.ack()

    connection = await aio_pika.connect(E["RABBITMQ_URL"])
    async with connection, connection.channel() as channel:
        await channel.set_qos(prefetch_count=int(E["BENCH_PREFETCH"]))
        for name in E["BENCH_QUEUES"].split(","):
            queue = await channel.get_queue(name, ensure=False)
            await queue.consume(on_message)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main())
