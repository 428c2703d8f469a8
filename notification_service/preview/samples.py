"""The sample events beside the templates, as the broker would deliver them."""

import json
import re
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from notification_service.content.templates import SAMPLES
from notification_service.contract.inbound import InboundMessage
from notification_service.delivery.ports.directory import Recipient

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")

PEOPLE = {"user456": Recipient("jane.smith@example.com", "Jane", "Smith")}
"""The users that the samples name."""

BOOKINGS = {"7c9e6679-7425-40de-944b-e07fc1f90ae7": "user456", "BOOK-789012": "user456"}
"""The users of the bookings that the samples name."""


@dataclass(frozen=True, slots=True)
class Sample:
    name: str
    event_type: str
    data: dict[str, Any]

    @property
    def inbound(self) -> InboundMessage:
        return InboundMessage(json.dumps(self.data).encode(), self.event_type)


def load(templates: Path, *, variants: bool) -> list[Sample]:
    """Returns the samples by name. `variants`: also the special cases, whose names have a third part."""
    files = sorted((templates / SAMPLES).glob("*.json"))
    read = [(path.stem, with_future_show(json.loads(path.read_text("utf-8")))) for path in files]
    found = [Sample(name, str(data["event_type"]), data) for name, data in read]
    return [sample for sample in found if variants or sample.name == sample.event_type]


def with_future_show(data: dict[str, Any]) -> dict[str, Any]:
    """Returns the event, its show moved three weeks ahead where it has passed: no mail is sent after a show began."""
    dated = _DATE.match(data.get("showtime") or "")
    if dated is None or date.fromisoformat(dated.group()) > date.today():  # noqa: DTZ011 - a day more or less does not matter
        return data
    ahead = date.today() + timedelta(weeks=3)  # noqa: DTZ011 - as above
    return {**data, "showtime": ahead.isoformat() + data["showtime"][dated.end() :]}
