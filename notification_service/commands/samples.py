"""The sample events that lie beside the templates, as the broker would deliver them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from notification_service.notices import Delivery
from notification_service.ports import Person
from notification_service.rendering import SAMPLES

PEOPLE = {"user456": Person("jane.smith@example.com", "Jane", "Smith")}
"""Who the users of the samples are."""

BOOKINGS = {"7c9e6679-7425-40de-944b-e07fc1f90ae7": "user456", "BOOK-789012": "user456"}
"""Whose the bookings of the samples are."""


@dataclass(frozen=True, slots=True)
class Sample:
    name: str
    event_type: str
    data: dict[str, Any]

    @property
    def delivery(self) -> Delivery:
        return Delivery(json.dumps(self.data).encode(), self.event_type)


def load(templates: Path, *, variants: bool) -> list[Sample]:
    """The samples by name; `variants`: the awkward ones too, whose names have a third part."""
    read = [(path.stem, json.loads(path.read_text("utf-8"))) for path in sorted((templates / SAMPLES).glob("*.json"))]
    found = [Sample(name, str(data["event_type"]), data) for name, data in read]
    return [sample for sample in found if variants or sample.name == sample.event_type]
