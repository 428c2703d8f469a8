"""`run`: the service itself."""

from notification_service import service
from notification_service.bootstrap import further_channels
from notification_service.cli.configuration import service_settings
from notification_service.console import app as console
from notification_service.observability import logging


def command() -> None:
    """Consume events and send mail until SIGTERM or Ctrl-C.

    The first signal stops consuming and finishes the jobs in progress; a second one exits at once.
    """
    settings = service_settings()
    try:
        service.serve(settings, console.serving, further_channels.configured(settings))
    finally:
        logging.finish()
