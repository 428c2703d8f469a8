"""Renders pages as HTML. Jinja escapes every value. No I/O."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from notification_service.broker.topology import PARKED
from notification_service.console import charts
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.outcomes import FOR_A_PERSON
from notification_service.foundation.addresses import mask_in
from notification_service.records import timeline
from notification_service.records.reconciliation import OUTCOMES
from notification_service.stores.mongo import documents

_VIEWS = Path(__file__).parent / "views"
STYLE = (_VIEWS / "console.css").read_bytes()

_SIGNS = {
    "sent": "✓", "simulated": "◌", "pending": "…", "waiting": "↻", "skipped": "»", "bounced": "✕", "rejected": "!",
    "parked": "‖", "unknown": "?",
}  # fmt: skip
"""A sign for each outcome, for those who cannot tell the colours apart."""


_CHANNELS = {str(ChannelKind.EMAIL): "E-mail", str(ChannelKind.SMS): "SMS", str(ChannelKind.PUSH): "Push"}


def _moment(moment: object) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}" if isinstance(moment, datetime) else "unknown"


def _exactly(moment: object) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}"[:-3] if isinstance(moment, datetime) else "unknown"


def _machine(moment: object) -> str:
    return moment.isoformat() if isinstance(moment, datetime) else ""


def _words(name: object) -> str:
    return str(name or "none").replace("_", " ")


def _channel_name(kind: object) -> str:
    return _CHANNELS.get(str(kind or ChannelKind.EMAIL), str(kind))


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_VIEWS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(moment=_moment, exactly=_exactly, machine=_machine, words=_words)
    made.filters.update(channel_name=_channel_name)
    made.filters.update(current_outcome=timeline.current_outcome, current_delivery=timeline.current_delivery)
    made.globals.update(
        signs=_SIGNS,
        outcomes=OUTCOMES,
        channels=_CHANNELS,
        for_a_person=FOR_A_PERSON,
        series=charts.SERIES,
        parked_queue=PARKED,
    )
    return made


_ENVIRONMENT = _environment()


class _Record(dict[str, Any]):
    """A record as a view reads it: missing fields are None."""

    def __missing__(self, name: str) -> None:
        return None


def page(view: str, *, addresses: bool = False, **values: Any) -> str:  # noqa: ANN401 - whatever a page shows
    """Render a view. `addresses`: show addresses in full; otherwise they are masked in all foreign text."""
    shown: Callable[[object], str] = str if addresses else _masked
    if "records" in values:
        values["records"] = [_Record(each) for each in values["records"]]
    if "record" in values:
        values["record"] = _Record(values["record"])
    return _ENVIRONMENT.get_template(f"{view}.html").render(**values, addresses=addresses, shown=shown)


def event_text(record: Mapping[str, Any], *, addresses: bool) -> str:
    """Returns the event of a record as indented JSON. `addresses`: as in `page`."""
    data = record.get("event_data")
    shown = data if addresses else documents.storable(data, mask_in)
    return json.dumps(shown, ensure_ascii=False, indent=2, default=str)


def _masked(value: object) -> str:
    return mask_in(str(value))
