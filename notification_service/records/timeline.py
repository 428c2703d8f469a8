"""The history of one notification, read from its record. No I/O."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from notification_service.contract.outcomes import PENDING, WAITING
from notification_service.delivery.ports.ledger import Record

_OWN_LINKS = "link"
_UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Moment:
    """`what`: an outcome, an attempt's result, or another step. `detail`: its reason, or the reply of the server."""

    at: datetime
    what: str
    detail: str = ""
    kind: str = "event"


def moments(record: Record) -> list[Moment]:
    """Returns the creation, each attempt, each outcome that a replay reopened, and the current outcome, in order.

    Where the record has its `signals` with it, what was learnt after it was sent, too.
    """
    return sorted(_unsorted(record), key=lambda moment: moment.at)


def current_outcome(record: Record) -> str:
    """Returns the outcome; records of the service's predecessor have only the `status` of the validator."""
    return str(record.get("outcome") or record.get("status") or "unreadable")


def current_delivery(record: Record) -> str:
    """Returns what became of a message after it was sent, with its code; empty where nothing is known."""
    delivery = record.get("delivery")
    if not isinstance(delivery, Mapping) or not delivery.get("status"):
        return ""
    return f"{delivery['status']} {delivery.get('code') or ''}".rstrip()


def _unsorted(record: Record) -> Iterator[Moment]:
    yield Moment(_moment(record.get("created_at")), "created", f"for {record.get('event_type') or 'an event'}")
    for attempt in _listed(record.get("attempts")):
        yield Moment(_moment(attempt.get("at")), str(attempt.get("result")), _attempt(attempt), "attempt")
    for end in _listed(record.get("history")):
        yield Moment(_moment(end.get("updated_at")), "reopened", f"it was {current_outcome(end)}{_why(end)}")
    if (outcome := current_outcome(record)) != PENDING:
        yield Moment(_moment(record.get("updated_at")), outcome, _why(record).removeprefix(": "), "outcome")
    for signal in _listed(record.get("signals")):
        yield Moment(_moment(signal.get("at")), str(signal.get("kind")), _signal(signal), "signal")
    if outcome == WAITING and isinstance(due := record.get("due_at"), datetime):
        yield Moment(due, "next try")


def _attempt(attempt: Record) -> str:
    reply, code = str(attempt.get("reply") or ""), attempt.get("code")
    words = [
        reply if code is None or reply.startswith(str(code)) else f"{code} {reply}".rstrip(),
        f"after {took:.0f} ms" if isinstance(took := attempt.get("duration_ms"), int | float) and took else "",
        f"connection {attempt['connection']}" if attempt.get("connection") else "",
        f"relay {attempt['relay']}" if attempt.get("relay") else "",
        f"device {attempt['device']}" if attempt.get("device") else "",
    ]
    return " · ".join(filter(None, words))


def _signal(signal: Record) -> str:
    extra = signal.get("extra")
    shown = extra if isinstance(extra, Mapping) else {}
    words = [
        *(str(signal.get(name) or "") for name in ("code", "detail")),
        f"the link {shown['link']}" if shown.get("link") else "",
        f"a {shown['class']}" if shown.get("class") else "",
        str(shown.get("why") or ""),
        "by a link of the mail" if signal.get("source") == _OWN_LINKS else f"by {signal.get('source')}",
    ]
    return " · ".join(filter(None, words))


def _why(record: Record) -> str:
    words = [str(record[name]) for name in ("reason", "detail") if record.get(name)]
    if record.get("possible_duplicate"):
        words.append("it may have been sent twice")
    return f": {'; '.join(words)}" if words else ""


def _listed(value: object) -> list[Record]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _moment(value: object) -> datetime:
    return value if isinstance(value, datetime) else _UNKNOWN_TIME
