"""What must be true of mails and records, whatever was done to the workers."""

from collections import Counter
from collections.abc import Iterable

from notification_service.contract.outcomes import PENDING, WAITING, Sent, waits_for_a_person
from notification_service.delivery.ports.claims import Fence
from notification_service.stores.memory.ledger import Record
from tests.model.process import Process
from tests.model.smtp import Mail, Server
from tests.model.worker import Stores

_OPEN = {PENDING, WAITING}


class Witness:
    """Sees each sending marker when it is set, and everything else in the end."""

    def __init__(self, stores: Stores, server: Server) -> None:
        self._stores = stores
        self._server = server
        self._marks: Counter[str] = Counter()
        self._late: set[tuple[Process, str]] = set()
        """Who has last marked a notification that was closed already."""
        stores.claims.watch = self._see
        stores.ledger.watch = self._see_fence

    def _see(self, process: Process, method: str, args: tuple[object, ...], answer: object) -> None:
        if method != "mark_sending" or answer not in {Fence.HELD, Fence.HELD_HERE}:
            return
        notification_id = str(args[0])
        self._marks[notification_id] += 1
        record = self._stores.ledger_twin.records[notification_id]
        (self._late.discard if record.outcome in _OPEN else self._late.add)((process, notification_id))

    def _see_fence(self, process: Process, method: str, args: tuple[object, ...], answer: object) -> None:
        """A marker of Redis alone does not let a mail go where the entry is asked too."""
        if method == "mark_sending" and answer is not Fence.HELD:
            self._late.discard((process, str(args[0])))

    def problems_of(self, events: Iterable[int], outcomes: frozenset[str], *, hold: bool, calm: bool) -> list[str]:
        """At rest. `calm`: nothing was done to the workers or the stores."""
        records = list(self._stores.ledger_twin.records.values())
        problems = _unequal(events, records)
        for record in records:
            mails = [mail for mail in self._server.mails if mail.notification_id == record.intent.notification_id]
            problems += self._of_record(record, mails, outcomes)
            problems += self._of_mails(record, mails, hold=hold, calm=calm)
        return problems + self._left_in_hand()

    def for_a_person(self) -> set[str]:
        """The events that the parking queue has to hold."""
        records = self._stores.ledger_twin.records.values()
        waiting = [each for each in records if each.entry.outcome and waits_for_a_person(each.entry.outcome)]
        return {event_id for record in waiting for event_id in record.entry.event_ids}

    def _of_record(self, record: Record, mails: list[Mail], outcomes: frozenset[str]) -> list[str]:
        problems = []
        if record.outcome in _OPEN:
            problems.append(f"I1: the record is {record.outcome} at rest")
        elif record.outcome not in outcomes:
            problems.append(f"I1: the outcome is {record.outcome}")
        if record.outcome == "sent" and not mails:
            problems.append("I2: the outcome is sent, and there is no mail")
        if mails and record.outcome not in {*_OPEN, "sent", "unknown"} and not _marked(record):
            problems.append(f"I2: a mail went out, and the outcome is {record.outcome}, unmarked")
        return problems

    def _of_mails(self, record: Record, mails: list[Mail], *, hold: bool, calm: bool) -> list[str]:
        notification_id = record.intent.notification_id
        problems = []
        if len(mails) > (1 if hold or calm else 2):
            problems.append(f"I2: {len(mails)} mails")
        if len(mails) > 1 and not _marked(record):
            problems.append("I2: a second mail, unmarked")
        if len({mail.message_id for mail in mails}) > 1:
            problems.append("I2: two Message-IDs")
        if any((mail.sender, notification_id) in self._late for mail in mails):
            problems.append("I2: a mail was begun after the outcome was written")
        if _marked(record) and not self._marks[notification_id] and not self._redis_failed:
            problems.append("I2: marked as a possible duplicate, and no try ever came to DATA")
        return problems

    @property
    def _redis_failed(self) -> bool:
        return bool(self._stores.forgotten or self._stores.claims.was_missed)

    def _left_in_hand(self) -> list[str]:
        """What Redis could not be told, it may keep until it forgets."""
        left = [] if self._redis_failed else self._stores.claims_in_hand()
        return [f"I3: {notification_id} is claimed at rest" for notification_id in left]


def _marked(record: Record) -> bool:
    return record.entry.possible_duplicate or record.entry.outcome == Sent(possible_duplicate=True)


def _unequal(events: Iterable[int], records: list[Record]) -> list[str]:
    told = Counter(event_id for record in records for event_id in record.entry.event_ids)
    wanted = Counter(f"evt-{number}" for number in events)
    return [] if told == wanted else [f"I1: of the events {dict(wanted)} there are records of {dict(told)}"]
