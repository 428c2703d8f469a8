"""Reads the environment and `.env` into the tree, and refuses settings that do not fit together."""

import logging
import re
from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import SettingsError

from notification_service.foundation.errors import ConfigurationError
from notification_service.foundation.secret_redaction import Secrecy
from notification_service.settings.choices import DeliveryMode, Environment
from notification_service.settings.fields import SettingsGroup
from notification_service.settings.smtp import SmtpSettings, name_settings
from notification_service.settings.tree import Settings

_said_of_the_file: set[str] = set()


def _for_the_first_time(line: logging.LogRecord) -> bool:
    """Every group of settings reads the file, and python-dotenv warns of a line that it cannot read each time."""
    text = line.getMessage()
    first = text not in _said_of_the_file
    _said_of_the_file.add(text)
    return first


logging.getLogger("dotenv.main").addFilter(_for_the_first_time)


def load(env_file: str | Path | None = ".env", *, links: bool = True) -> Settings:
    """Read the environment. Raises `ConfigurationError`, which names each setting at fault and hides its value.

    `links=False` leaves out the check in production that all connections are protected: it imports the clients of
    RabbitMQ, Redis and MongoDB, which takes half a second.
    """
    parts: dict[str, SettingsGroup] = {}
    faults: list[str] = []
    for name, field in Settings.model_fields.items():
        kind: type[SettingsGroup] = field.annotation  # type: ignore[assignment]  # every field of the tree is a group
        prefix = kind.model_config.get("env_prefix", "")
        try:
            parts[name] = kind(_env_file=env_file)
        except (OSError, UnicodeDecodeError) as problem:
            raise ConfigurationError(f"{env_file} cannot be read: {_describe(problem)}") from None
        except SettingsError as problem:
            # Its text names the field without its prefix, and hides the value.
            field_name = re.search(r'field "(\w+)"', str(problem))
            faults.append(
                f"{prefix}{field_name[1].upper() if field_name else 'a setting'}: expected JSON, see .env.example"
            )
        except ValidationError as problem:
            faults += [
                f"{prefix}{str(fault['loc'][0]).upper()}: {_told(kind, str(fault['msg']), fault['input'])}"
                for fault in problem.errors(include_url=False)
            ]
    if faults:
        raise ConfigurationError("; ".join(faults))
    settings = Settings(**parts)
    if misfit := _misfit(settings):
        raise ConfigurationError(misfit)
    if settings.service.environment is Environment.PRODUCTION:
        _check_production(settings, links=links)
    return settings


def _told(kind: type[SettingsGroup], message: str, value: object) -> str:
    """The message without the value, unless that is a plain word: it may be the secret of another setting."""
    told = message.removeprefix("Value error, ")
    text = Secrecy((value, repr(value)[1:-1]), mark="…").text(told) if isinstance(value, str) else told
    return name_settings(text, kind.prefix) if issubclass(kind, SmtpSettings) else text


def _misfit(settings: Settings) -> str | None:
    """Which settings do not fit together, in one sentence that names them; None if all do."""
    missing = settings.unconfigured or settings.sms_missing or settings.push_missing
    if settings.service.delivery_mode is DeliveryMode.LIVE and missing:
        return f"DELIVERY_MODE=live, but {missing}"
    if problem := settings.fallback.fault(settings.smtp) or next(filter(None, settings.problems), None):
        return problem
    if settings.console.token and settings.console.port == settings.service.port:
        return "CONSOLE_PORT is the same as PORT: the console needs a port of its own"
    return None


def _check_production(settings: Settings, *, links: bool) -> None:
    if links and (unprotected := settings.unprotected_links):
        raise ConfigurationError(
            f"ENVIRONMENT=production, but {', '.join(unprotected.values())}; if the network itself is protected, "
            f"PLAINTEXT_ALLOWED={','.join(unprotected)} allows it"
        )
    if well_known := settings.well_known_secrets:
        raise ConfigurationError(
            f"ENVIRONMENT=production, but the password in {', '.join(well_known)} is a well-known one, such as "
            "change-me: change it on the server and here"
        )


def _describe(problem: OSError | UnicodeDecodeError) -> str:
    """Without the bytes of the file, which may be those of a secret."""
    return problem.strerror or "" if isinstance(problem, OSError) else f"invalid UTF-8 at byte {problem.start}"
