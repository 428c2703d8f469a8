"""What happened in the business, and the notification id that follows from it. Pure."""

import hashlib
from dataclasses import dataclass, replace

REPORT_FIELD = "refund_transaction_id"
"""The field of an event's body that holds `Fact.report`."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that happened in the business, such as "booking 7 is confirmed".

    `report`: the id that some reports of a fact carry and others do not, such as a refund's. The first id and the
    reports without one are one fact; each further id is another fact. For a further mail about a booking it is the
    id of the event that decided it.

    `alias`: another key of the same fact, for reports that do not have the first key.
    """

    key: str
    report: str | None = None
    alias: str | None = None

    def known_as(self, first: str) -> "Fact":
        """The fact under the key of the first report with the same alias. `first`: that key.

        A fact with a key of its own, reported after one with another key of its own, stays as it is.
        """
        return replace(self, key=first) if self.alias in (self.key, first) else self


def notification_id(fact: Fact, first_report: str | None, template: str, channel: str) -> str:
    """The id of a fact, template and channel: 32 hexadecimal digits, the same in every process and version.

    `first_report`: the first `Fact.report` of this fact, which does not become part of the id.
    """
    further = fact.report if fact.report and fact.report != first_report else None
    parts = (fact.key, *([further] if further else []), template, channel)
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
