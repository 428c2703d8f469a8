"""Finds a message in doubt in Twilio's list. Pure.

Twilio has no idempotency key and no tag, so a message is recognised by its number, time and text. Two equal texts to
one number at one time are not told apart; their reader has read the same words.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from notification_service.channels.sms.segments import with_twins

_CLOCKS_DIFFER = timedelta(seconds=30)
_COMPARED = {"Lu", "Ll", "Lt", "Lo", "Mn", "Mc", "Nd", "Nl", "No"}
"""Categories of characters. `Lm` has the typographers' apostrophes."""
_TRIAL_PREFIX = "sentfromyourtwiliotrialaccount"


class Redacted:
    """A message of that time has lost its text, on its owner's wish."""


def find(messages: Sequence[Mapping[str, Any]], text: str, since: datetime) -> Mapping[str, Any] | Redacted | None:
    """The message with this text; None where there is none; `Redacted` where any may be it.

    `messages`: a page of the list. Raises `ValueError` where it has another form than Twilio describes.
    """
    wanted, recent = _comparable(text), [each for each in messages if created(each) >= since - _CLOCKS_DIFFER]
    inbound = [each for each in recent if not str(each.get("direction", "")).startswith("inbound")]
    for each in inbound:
        if each.get("body") and _comparable(str(each["body"])) == wanted:
            return each
    return Redacted() if any(not each.get("body") for each in inbound) else None


def may_go_on(messages: Sequence[Mapping[str, Any]], since: datetime) -> bool:
    """Whether older pages may hold messages since then: the newest come first."""
    return bool(messages) and created(messages[-1]) >= since - _CLOCKS_DIFFER


def created(message: Mapping[str, Any]) -> datetime:
    """Raises `ValueError` where the list has another form than Twilio describes."""
    try:
        found = parsedate_to_datetime(str(message["date_created"]))
        # A time at `-0000` is in UTC (RFC 5322 §3.3).
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    except (KeyError, TypeError, ValueError) as problem:
        raise ValueError("a message in the list has no date_created") from problem


def _comparable(text: str) -> str:
    """The letters, their marks and the digits: smart encoding replaces the rest, and trials add a prefix."""
    plain = unicodedata.normalize("NFKC", with_twins(text)).casefold()
    return "".join(each for each in plain if unicodedata.category(each) in _COMPARED).removeprefix(_TRIAL_PREFIX)
