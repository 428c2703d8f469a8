"""FastStream and fastapi-mail as their own pages show them: a subscriber for each queue, a mail from a template."""

import asyncio
import os
from pathlib import Path
from typing import Any

from fastapi_mail import (  # type: ignore[import-not-found]  # it stands in a venv of its own
    ConnectionConfig,
    FastMail,
    MessageSchema,
    MessageType,
)
from faststream import FastStream  # type: ignore[import-not-found]  # as above
from faststream.rabbit import Channel, RabbitBroker, RabbitQueue  # type: ignore[import-not-found]  # as above

E = os.environ
MATERIAL = Path(E["BENCH_MATERIAL"])

mail = FastMail(
    ConnectionConfig(
        MAIL_USERNAME=E["SMTP_USERNAME"],
        MAIL_PASSWORD=E["SMTP_PASSWORD"],
        MAIL_FROM=E["FROM_EMAIL"],
        MAIL_FROM_NAME=E["FROM_NAME"],
        MAIL_SERVER=E["SMTP_SERVER"],
        MAIL_PORT=int(E["SMTP_PORT"]),
        MAIL_STARTTLS=True,
        MAIL_SSL_TLS=False,
        CERT_BUNDLE=E["SMTP_CA_FILE"],
        TEMPLATE_FOLDER=MATERIAL,
    )
)
broker = RabbitBroker(E["RABBITMQ_URL"], default_channel=Channel(prefetch_count=int(E["BENCH_PREFETCH"])))
app = FastStream(broker)


async def notify(event: dict[str, Any]) -> None:
    message = MessageSchema(
        subject=(MATERIAL / f"{event['event_type']}.subject").read_text("utf-8"),
        recipients=[event.get("user_email") or "jane.smith@example.com"],
        template_body=event,
        subtype=MessageType.html,
    )
    await mail.send_message(message, template_name=f"{event['event_type']}.html")


for queue in E["BENCH_QUEUES"].split(","):
    # The queues stand already, with arguments of their own.
    broker.subscriber(RabbitQueue(queue, declare=False))(notify)

if __name__ == "__main__":
    asyncio.run(app.run())
