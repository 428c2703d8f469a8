"""Writes the documents of the contract anew: `make contract`. A test says when that is due."""

import json
import re
from pathlib import Path
from typing import Any

from tests import record_schema
from tests.asyncapi import document

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "notification_service"
ASYNCAPI = PACKAGE / "contract" / "asyncapi.json"
LOG = PACKAGE / "observability" / "log.schema.json"
RECORD = PACKAGE / "stores" / "mongo" / "record.schema.json"
LEVELS = ("debug", "info", "warning", "error", "critical")

_NUMBERS = {
    "code": ["integer", "string"],
    "counted": "boolean",
    "event_ids": "array",
    "keys": "array",
    "refused_ids": "array",
    "queues": "array",
    **dict.fromkeys(
        (
            "facts",
            "left",
            "left_out",
            "mails",
            "port",
            "prefetch",
            "removed",
            "retry",
            "stripped",
            "under_way",
            "unfinished",
        ),
        "integer",
    ),
    **dict.fromkeys(("duration_ms", "grace_s", "pause_s", "probe_in_s", "wait_s"), "number"),
}
"""The JSON types of fields that are no text."""
_LINE = re.compile(r"^\| `([a-z_.]+)` \| ([a-z, ]+) \| (.*?) \|", re.MULTILINE)


def asyncapi() -> str:
    return _text(document.document())


def record() -> str:
    return _text(record_schema.record())


def log_line() -> str:
    """From docs/logs.md, which a test compares with the code."""
    page = (ROOT / "docs" / "logs.md").read_text("utf-8")
    always = _fields(page, "Fields of every line\n")
    about = _fields(page, "Fields of every line about one notification")
    lines = {name: (levels.split(", "), re.findall(r"`(\w+)`", fields)) for name, levels, fields in _LINE.findall(page)}
    anywhere = [*always, *about, "exception"]
    fields = sorted({field for _, named in lines.values() for field in named} - set(anywhere))
    return _text(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": "urn:notification-service:log-line",
            "title": "A log line of notification-service",
            "description": "Written by `make contract` from docs/logs.md, which says what each means.",
            "type": "object",
            "required": always,
            "additionalProperties": False,
            "properties": {
                "timestamp": {"type": "string", "format": "date-time", "pattern": "Z$"},
                "level": {"enum": LEVELS},
                **{name: {"type": "string"} for name in (*always, *about) if name not in ("timestamp", "level")},
                "exception": {"type": "array", "items": {"type": "object"}},
                **{name: {"type": _NUMBERS.get(name, "string")} for name in fields},
            },
            "if": {"properties": {"logger": {"pattern": r"^notification_service(\.|$)"}}},
            "then": {
                "properties": {"event": {"enum": sorted(lines)}},
                "allOf": [
                    {
                        "if": {"properties": {"event": {"const": name}}},
                        "then": {
                            "properties": {"level": {"enum": levels}},
                            "propertyNames": {"enum": [*anywhere, *(each for each in named if each not in anywhere)]},
                        },
                    }
                    for name, (levels, named) in sorted(lines.items())
                ],
            },
            "else": {"description": "A library's own words.", "propertyNames": {"enum": anywhere}},
        }
    )


def _fields(page: str, heading: str) -> list[str]:
    section = page.split(f"## {heading}", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)


def _text(document: Any) -> str:  # noqa: ANN401 - whatever JSON holds
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    ASYNCAPI.write_text(asyncapi(), "utf-8")
    LOG.write_text(log_line(), "utf-8")
    RECORD.write_text(record(), "utf-8")
