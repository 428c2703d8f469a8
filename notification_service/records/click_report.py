"""How often each link of each e-mail was followed, people and machines apart."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from notification_service.feedback.clicks import Hit, JudgedHit, Visitor, Why, judged
from notification_service.settings import Settings
from notification_service.stores.mongo.clicks import KeptClick, MongoClicks
from notification_service.stores.mongo.client import Database

MAX_CLICKS = 500_000
"""Of one report; it says where there are more."""


@dataclass(slots=True)
class Row:
    """One link of one e-mail. `people`, `machines`: clicks. `mails`: those that a person followed the link of."""

    template: str
    link: str
    people: int = 0
    machines: int = 0
    mails: int = 0
    why: Counter[str] = field(default_factory=Counter)

    def add(self, hits: Iterable[JudgedHit]) -> None:
        """Count the clicks on this link of one mail."""
        by_people = 0
        for hit in hits:
            by_people += hit.visitor is Visitor.PERSON
            self.machines += hit.visitor is Visitor.MACHINE
            self.why.update([hit.why] if hit.why else [])
        self.people += by_people
        self.mails += by_people > 0


@dataclass(frozen=True, slots=True)
class ClickReport:
    """`cut`: there are more clicks than it counts."""

    rows: Sequence[Row]
    cut: bool


async def report(settings: Settings, database: Database, since: datetime) -> ClickReport:
    """The clicks from then on. Raises `StoreUnavailableError`."""
    store = MongoClicks(database, settings.mongodb.collection)
    clicks = await store.since(since, MAX_CLICKS + 1)
    kept = clicks[:MAX_CLICKS]
    sent = await store.sent_at(list(dict.fromkeys(each.notification_id for each in kept if each.notification_id)))
    return ClickReport(count(kept, sent), cut=len(clicks) > MAX_CLICKS)


def count(clicks: Iterable[KeptClick], sent_at: Mapping[str, datetime]) -> list[Row]:
    """The rows by e-mail and link. `sent_at`: by notification, where it is known."""
    mails: defaultdict[tuple[str, str], list[Hit]] = defaultdict(list)
    for each in clicks:
        why = Why(each.why) if each.why in set(Why) else None
        mails[each.template, each.notification_id].append(Hit(each.link, each.at, why))
    rows: dict[tuple[str, str], Row] = {}
    for (template, notification), hits in mails.items():
        by_link: defaultdict[str, list[JudgedHit]] = defaultdict(list)
        for hit in judged(hits, sent_at.get(notification)):
            by_link[hit.link].append(hit)
        for link, found in by_link.items():
            rows.setdefault((template, link), Row(template, link)).add(found)
    return [rows[name] for name in sorted(rows)]
