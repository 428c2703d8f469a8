"""`callbacks`: the public listener, a process of its own."""

import asyncio

from notification_service.cli.configuration import service_settings
from notification_service.observability import logging


def command() -> None:
    """Listen for what mail providers report, until SIGTERM or Ctrl-C.

    It answers only /cb/<provider>, the links in mails and /livez on CALLBACK_PORT; health and metrics are on PORT.
    """
    # Imported here: no other command needs what checks signatures.
    from notification_service.callbacks import process  # noqa: PLC0415

    settings = service_settings()
    try:
        asyncio.run(process.run(settings))
    finally:
        logging.finish()
