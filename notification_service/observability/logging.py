"""Structured logs: JSON on a pipe, coloured on a terminal, with the same processors for every library."""

import logging
import sys
from collections.abc import Collection, MutableMapping, Sequence
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor

from notification_service.foundation.addresses import mask_in
from notification_service.foundation.printable import in_json, in_lines, shown
from notification_service.foundation.secret_redaction import MARK, Secrecy
from notification_service.observability.streams import LogOutput
from notification_service.settings import LogFormat

_NOISY = (
    "aio_pika",
    "aiormq",
    "aiormq.connection",
    "pymongo",
    "redis",
    "asyncio",
    "uvicorn",
    "httpx",
    "httpcore",
    "httpx2",
    "httpcore2",
    "hpack",
    "h2",
)


def configure(
    *,
    level: str = "INFO",
    style: LogFormat = LogFormat.AUTO,
    secrets: Collection[str] = (),
    stream: TextIO | LogOutput | None = None,
) -> None:
    """Configure the logging of the process, once. Addresses and `secrets` are masked, whoever logs them."""
    out = stream or sys.stdout
    console = style is LogFormat.CONSOLE or (style is LogFormat.AUTO and out.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(_formatter(shared, secrets, console=console, colours=out.isatty()))
    # logging would print a line that cannot be written without redaction.
    logging.raiseExceptions = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    # It warns about each malformed request, which anybody can send.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


def _formatter(
    shared: Sequence[Processor], secrets: Collection[str], *, console: bool, colours: bool
) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _arrange,
            structlog.processors.ExceptionRenderer(
                # Local variables hold addresses and passwords (pitfalls.md, 25).
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            )
            if not console
            else structlog.processors.format_exc_info,
            Redaction(secrets),
            *(
                [_visible, structlog.dev.ConsoleRenderer(colors=colours)]
                if console
                else [structlog.processors.JSONRenderer(in_json, default=str)]
            ),
        ],
    )


def finish() -> None:
    """Write out lines that wait for a slow reader, for 1 s at most."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and isinstance(handler.stream, LogOutput):
            handler.stream.finish()


def _arrange(_: Any, __: str, event: EventDict) -> EventDict:  # noqa: ANN401 - structlog's own signature
    """Put timestamp, level and event first, and leave out None."""
    first = {key: event[key] for key in ("timestamp", "level", "event") if key in event}
    return {key: value for key, value in {**first, **event}.items() if value is not None}


_MULTILINE = ("exception", "stack")


def _visible(_: Any, __: str, event: EventDict) -> EventDict:  # noqa: ANN401 - as above
    """Escape control characters, and indent tracebacks, so that no line of one looks like a line of the log."""
    return {
        shown(key): in_lines(value, indent="  ") if key in _MULTILINE and isinstance(value, str) else _escaped(value)
        for key, value in event.items()
    }


def _escaped(value: Any) -> Any:  # noqa: ANN401 - whatever is logged
    match value:
        case str():
            return shown(value)
        case dict():
            return {_escaped(key): _escaped(each) for key, each in value.items()}
        case list():
            return [_escaped(each) for each in value]
    return value


_PLAIN_FIELDS = ("timestamp", "level")
"""Fields that are written for every line, and never hold data."""

_OWN_FIELDS = ("event", "logger")
"""Fields whose text is from the code, not from data."""


class Redaction:
    """Masks every address and secret in a line, however deeply nested; see `Secrecy` for short secrets."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        self._secrecy = Secrecy(secrets)

    def __call__(self, _: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:  # noqa: ANN401
        return {
            key: str(value)
            if key in _PLAIN_FIELDS
            else self.text(str(value))
            if key in _OWN_FIELDS
            else self._clean(value)
            for key, value in event.items()
        }

    def _clean(self, value: Any) -> Any:  # noqa: ANN401 - whatever is logged
        match value:
            case str():
                return MARK if self._secrecy.whole(value) else self.text(value)
            case dict():
                return {self._clean(key): self._clean(each) for key, each in value.items()}
            case list() | tuple():
                return [self._clean(each) for each in value]
            case BaseException():
                return self.text(f"{type(value).__name__}: {value}")
            case bool() | int() | float() | None:
                return value
        return self.text(str(value))

    def text(self, text: str) -> str:
        # A lone surrogate cannot be encoded, and the whole line would be lost.
        return mask_in(self._secrecy.text(text.encode("utf-8", "replace").decode()))
