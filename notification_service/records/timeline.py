"""What happened to one notification, from its record, in the order in which it happened. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from notification_service.contract.outcomes import PENDING, WAITING

_UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Moment:
    """`what`: the word of an outcome, an attempt's result, or what else happened. `said`: the words of the server."""

    at: datetime
    what: str
    said: str = ""
    kind: str = "event"


def moments(record: Record) -> list[Moment]:
    """Its creation, each attempt, each earlier end that a replay reopened, and how it stands."""
    return sorted(_told(record), key=lambda moment: moment.at)


def standing(record: Record) -> str:
    """How it stands in one word; a record that an earlier service wrote has only the three of the validator."""
    return str(record.get("outcome") or record.get("status") or "unreadable")


def _told(record: Record) -> Iterator[Moment]:
    yield Moment(_moment(record.get("created_at")), "created", f"for {record.get('event_type') or 'an event'}")
    for attempt in _listed(record.get("attempts")):
        yield Moment(_moment(attempt.get("at")), str(attempt.get("result")), _attempt(attempt), "attempt")
    for end in _listed(record.get("history")):
        yield Moment(_moment(end.get("updated_at")), "reopened", f"it was {standing(end)}{_why(end)}")
    if (outcome := standing(record)) != PENDING:
        yield Moment(_moment(record.get("updated_at")), outcome, _why(record).removeprefix(": "), "outcome")
    if outcome == WAITING and isinstance(due := record.get("due_at"), datetime):
        yield Moment(due, "next try")


def _attempt(attempt: Record) -> str:
    reply, code = str(attempt.get("reply") or ""), attempt.get("code")
    words = [
        reply if code is None or reply.startswith(str(code)) else f"{code} {reply}".rstrip(),
        f"after {attempt['duration_ms']:.0f} ms" if isinstance(attempt.get("duration_ms"), int | float) else "",
        f"connection {attempt['connection']}" if attempt.get("connection") else "",
    ]
    return " · ".join(filter(None, words))


def _why(record: Record) -> str:
    words = [str(record[name]) for name in ("reason", "detail") if record.get(name)]
    if record.get("possible_duplicate"):
        words.append("it may have gone out twice")
    return f": {'; '.join(words)}" if words else ""


def _listed(value: object) -> list[Record]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _moment(value: object) -> datetime:
    return value if isinstance(value, datetime) else _UNKNOWN_TIME
