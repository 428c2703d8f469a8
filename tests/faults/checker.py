"""Judges a run by what came out alone: the publisher's log, the mail server's own log, the records in MongoDB.

It knows nothing of the service's code and imports none of it, nor anything else of this repository. Every event of a
run is to have its mail: that one was refused, or is out of date, is a loss here.

`python -m tests.faults.checker --confirmed FILE --mails FILE --mongodb URI --database NAME` prints the figures and
each fault, and ends with 1 where there is one.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pymongo import MongoClient

Record = dict[str, Any]

RECORDS = "notification_logs"
FOR_A_PERSON = {"parked", "unknown"}
OPEN = {"pending", "waiting"}
MOST_MAILS = 2


class Fault(StrEnum):
    NOTHING = "nothing was confirmed: the run proves nothing"
    NO_RECORD = "confirmed, and no record speaks of it"
    NEVER_ENDED = "its record never came to an end"
    NO_MAIL = "its record says sent, and the mail server took none"
    NOT_SENT = "its record says that it is not to be sent"
    TWO_RECORDS = "more than one record speaks of it"
    UNMARKED = "more than one mail, and its record does not say so"
    MORE_THAN_TWO = "more than two mails"
    UNSAID = "a mail went out, and its record says that none did"
    STRANGER = "a mail of which no record speaks"


LOSSES = {Fault.NO_RECORD, Fault.NEVER_ENDED, Fault.NO_MAIL, Fault.NOT_SENT}


@dataclass(frozen=True)
class Violation:
    """`what`: the id of an event, or of a mail."""

    fault: Fault
    what: str
    record: Record | None = None

    def __str__(self) -> str:
        outcome = f" (outcome {self.record['outcome']!r})" if self.record else ""
        return f"{self.what}: {self.fault}{outcome}"


@dataclass(frozen=True)
class Account:
    """`marked` counts records, and so does `doubled`: those with more than one mail; `for_a_person` by their reason."""

    events: int
    mails: int
    doubled: int
    marked: int
    for_a_person: Mapping[str, int]
    findings: tuple[Violation, ...]

    @property
    def broken(self) -> bool:
        return bool(self.findings)

    @property
    def lost(self) -> int:
        return sum(finding.fault in LOSSES for finding in self.findings)

    def count(self, fault: Fault) -> int:
        return sum(finding.fault is fault for finding in self.findings)

    def lines(self) -> Iterator[str]:
        yield str(self)
        yield from (f"left to a person: {count} {reason}" for reason, count in self.for_a_person.items())
        yield from map(str, self.findings)

    def __str__(self) -> str:
        counted = {Fault.UNMARKED, Fault.MORE_THAN_TWO} | LOSSES
        others = sum(finding.fault not in counted for finding in self.findings)
        return (
            f"{self.events} events confirmed, {self.lost} lost, {self.mails} mails, {self.doubled} doubled, "
            f"{self.count(Fault.UNMARKED)} doubled unmarked, {self.count(Fault.MORE_THAN_TWO)} more than two, "
            f"{self.marked} marked, {sum(self.for_a_person.values())} left to a person, {others} other faults"
        )


def check(confirmed: set[str], records: Sequence[Record], mails: Iterable[str | None]) -> Account:
    """`confirmed`: the ids of events. `mails`: the Message-ID of each mail that the server took."""
    taken = Counter(mails)
    return Account(
        events=len(confirmed),
        mails=taken.total(),
        doubled=sum(taken[record["message_id"]] > 1 for record in records),
        marked=sum(map(_is_marked, records)),
        for_a_person=Counter(map(_reason, (each for each in records if each["outcome"] in FOR_A_PERSON))),
        findings=tuple(_findings(confirmed, records, taken)),
    )


def _findings(confirmed: set[str], records: Sequence[Record], taken: Counter[str | None]) -> Iterator[Violation]:
    if not confirmed:
        yield Violation(Fault.NOTHING, "the publisher's log")
    told = Counter(event_id for record in records for event_id in record["event_ids"])
    yield from (Violation(Fault.NO_RECORD, event_id) for event_id in sorted(confirmed - told.keys()))
    yield from (Violation(Fault.TWO_RECORDS, event_id) for event_id, times in told.items() if times > 1)
    for record in records:
        for fault in _faults_of(record, taken[record["message_id"]]):
            yield Violation(fault, record["event_ids"][0], record)
    known = {record["message_id"] for record in records}
    yield from (Violation(Fault.STRANGER, str(mail)) for mail in taken if mail not in known)


def _faults_of(record: Record, mails: int) -> Iterator[Fault]:
    outcome, marked = record["outcome"], _is_marked(record)
    if outcome in OPEN:
        yield Fault.NEVER_ENDED
    elif outcome not in FOR_A_PERSON | {"sent"}:
        yield Fault.NOT_SENT
    if outcome == "sent" and not mails:
        yield Fault.NO_MAIL
    # Who is told `unknown` asks the mail server's log; of any other outcome, the mark says that there may be a mail.
    if mails and outcome not in OPEN | {"sent", "unknown"} and not marked:
        yield Fault.UNSAID
    if mails > 1 and not marked:
        yield Fault.UNMARKED
    if mails > MOST_MAILS:
        yield Fault.MORE_THAN_TWO


def _reason(record: Record) -> str:
    said = (record["outcome"], record.get("reason"), record.get("detail"))
    return ": ".join(str(each) for each in said if each)


def _is_marked(record: Record) -> bool:
    return record.get("possible_duplicate") is True


def read_lines(path: Path) -> list[Record]:
    """The whole lines of a file; one that a kill has torn was never answered for."""
    content = path.read_bytes() if path.exists() else b""
    return [json.loads(line) for line in content.splitlines(keepends=True) if line.endswith(b"\n")]


def read_records(uri: str, database: str) -> list[Record]:
    with MongoClient[Record](uri, tz_aware=True) as client:
        return list(client[database][RECORDS].find())


def examine(confirmed: Path, mails: Path, uri: str, database: str) -> Account:
    return check(
        {str(event["event_id"]) for event in read_lines(confirmed)},
        read_records(uri, database),
        [mail["message_id"] for mail in read_lines(mails)],
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--confirmed", type=Path, required=True, help="what the broker confirmed, a JSON event a line")
    parser.add_argument("--mails", type=Path, required=True, help="what the mail server took, a JSON object a line")
    parser.add_argument("--mongodb", required=True, help="its address")
    parser.add_argument("--database", required=True)
    asked = parser.parse_args()
    account = examine(asked.confirmed, asked.mails, asked.mongodb, asked.database)
    sys.stdout.write("".join(f"{line}\n" for line in account.lines()))
    return int(account.broken)


if __name__ == "__main__":
    sys.exit(main())
