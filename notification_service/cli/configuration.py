"""Reads the settings and sets up logging, for the service and for the other commands."""

import sys

from notification_service.observability import logging
from notification_service.observability.streams import LogOutput
from notification_service.settings import Settings, load


def service_settings() -> Settings:
    """The settings of `run`, whose log lines go to standard output."""
    settings = load()
    logging.configure(
        level=settings.service.log_level,
        style=settings.service.log_format,
        secrets=settings.secrets(),
        stream=LogOutput(sys.stdout.fileno()),
    )
    return settings


def command_settings() -> Settings:
    """The settings of any other command, which reports by itself: only critical log lines, on standard error."""
    settings = load()
    logging.configure(
        level="CRITICAL", style=settings.service.log_format, secrets=settings.secrets(), stream=sys.stderr
    )
    return settings
