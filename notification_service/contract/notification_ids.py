"""What happened in the business, and the notification id that follows from it. Pure."""

import hashlib
from dataclasses import dataclass, replace

REPORT_FIELD = "refund_transaction_id"
"""The field of an event's body that holds `Fact.report`."""


@dataclass(frozen=True, slots=True)
class Fact:
    """What happened in the business.

    A fact that may be reported with and without a name of its own, as a refund is, carries that name as `report`:
    the first named report and the nameless ones are one fact, every further name is another. A further mail about a
    booking carries the id of the event that decided it.

    `alias`: another name of the same fact, by which a report may come that does not know the first.
    """

    key: str
    report: str | None = None
    alias: str | None = None

    def known_as(self, first: str) -> "Fact":
        """`first`: the name under which its alias was first reported.

        A nameless report is of that name. A named one is of the nameless one that came before it; beside another name,
        it stands for itself.
        """
        return replace(self, key=first) if self.alias in (self.key, first) else self


def notification_id(fact: Fact, first_report: str | None, template: str, channel: str) -> str:
    """One business fact, one template, one channel: 32 hexadecimal digits, the same in every process for ever.

    `first_report`: the named report that stands for the fact as such.
    """
    further = fact.report if fact.report and fact.report != first_report else None
    parts = (fact.key, *([further] if further else []), template, channel)
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
