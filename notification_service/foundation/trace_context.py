"""W3C Trace Context, as AMQP headers carry it: https://www.w3.org/TR/trace-context/. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_FIRST_VERSION, _NO_VERSION = "00", "ff"
_SAMPLED = 1
_MAX_STATE_LENGTH = 512


@dataclass(frozen=True, slots=True)
class Trace:
    """A span of this service or of the event's publisher. `state` is passed on unchanged."""

    trace_id: str
    span_id: str
    sampled: bool
    state: str | None = None

    @property
    def headers(self) -> dict[str, str | None]:
        """Headers for a published message; None removes a header."""
        flags = "01" if self.sampled else "00"
        return {TRACEPARENT: f"{_FIRST_VERSION}-{self.trace_id}-{self.span_id}-{flags}", TRACESTATE: self.state}


NO_HEADERS: Mapping[str, None] = {TRACEPARENT: None, TRACESTATE: None}
"""Removes a malformed trace context: it is not passed on, and neither is its state (§3.3)."""


def read(headers: Mapping[str, object]) -> Trace | None:
    """The trace in the headers; None if there is none or it is malformed (§3.2.2)."""
    parent = headers.get(TRACEPARENT)
    found = _TRACEPARENT.fullmatch(parent) if isinstance(parent, str) else None
    if found is None:
        return None
    version, trace_id, span_id, flags, further = found.groups()
    if version == _NO_VERSION or (version == _FIRST_VERSION and further):
        return None
    if not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return Trace(trace_id, span_id, bool(int(flags, 16) & _SAMPLED), _state(headers.get(TRACESTATE)))


def _state(text: object) -> str | None:
    fits = isinstance(text, str) and text.isascii() and text.isprintable() and 0 < len(text) <= _MAX_STATE_LENGTH
    return text if isinstance(text, str) and fits else None
