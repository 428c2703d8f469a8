"""Finds the cause of a refusal: by its text, else by its enhanced status code, else by its reply code.

The codes are those of RFC 3463, 4954, 5248, 7293, 7372, 7505 and 8689 (IANA's registry of enhanced status codes), and
those that Google ("Gmail SMTP errors and codes") and Microsoft ("NDRs in Exchange Online", "SMTP authentication
errors") add to them.
"""

import re
from collections.abc import Mapping

from notification_service.channels.email.smtp.refusal_causes import Cause
from notification_service.channels.email.smtp.refusal_phrases import cause_by_phrase

_CODES: Mapping[str, Cause] = {
    **dict.fromkeys(("1.7", "1.8", "2.252", "7.60", "7.750"), Cause.SENDER),
    **dict.fromkeys(("7.506",), Cause.HELO),
    **dict.fromkeys(("7.25", "7.501", "7.502", "7.503", "7.511", "7.708"), Cause.CLIENT),
    **dict.fromkeys(("1.90", "7.28", "7.232", "7.233", "7.236", "7.508"), Cause.QUOTA),
    **dict.fromkeys((*(f"7.{detail}" for detail in (*range(20, 25), 26, 27, 29, 32)), "7.509", "7.515"), Cause.DOMAIN),
    **dict.fromkeys(("7.8", "7.9", "7.10", "7.11", "7.12", "7.13", "7.14", "7.30", "7.57", "7.139"), Cause.LOGIN),
    **dict.fromkeys(("7.54", "7.64"), Cause.RELAY),
}
"""By subject and detail, the last two numbers of an enhanced status code."""

_RECIPIENT_CODES = frozenset(
    ("1.6", "1.10", *(f"7.{detail}" for detail in (17, 18, 124, 129, *range(133, 137), 504, 505, 507, 513, 703)))
)
"""RFC 7293 and 7505, and Exchange Online: the recipient does not take our mail. These win over the text."""

_RANGES = ((re.compile(r"7\.6\d\d|7\.850"), Cause.CLIENT), (re.compile(r"7\.7(?!03)\d\d"), Cause.QUOTA))
"""Exchange Online: banned addresses, and tenants over their threshold."""

_MESSAGE_CODES = re.compile(r"2\.3|3\.4|6\.\d+")
"""RFC 3463: size and content of the message."""

_CODES_WITH_CLASS: Mapping[str, Cause] = {
    **dict.fromkeys(("5.4.5",), Cause.QUOTA),
    **dict.fromkeys((f"4.7.5{tens}{ones}" for tens in range(10) for ones in range(10)), Cause.CLIENT),
}
"""Codes that mean this in one class only: 4.4.5 is a busy server, and 5.7.5xx has other meanings."""

_LOGIN_REPLIES = frozenset({523, 524, 525, 530, 534, 535, 538})
_REPLY_CODES: Mapping[int, Cause] = {
    **dict.fromkeys((432, 454, *_LOGIN_REPLIES), Cause.LOGIN),
    **dict.fromkeys((500, 502, 503, 504), Cause.PROTOCOL),
}
"""RFC 4954 §6, RFC 5248 §2.4, RFC 5321 §4.2.1: no recipient causes these."""


def cause_of(reply_code: int, enhanced: str | None, text: str) -> Cause | None:
    """The cause of a refusal; None where nothing names one.

    `text`: the server's own, without addresses and without what it quotes of other servers.
    """
    if enhanced and enhanced[2:] in _RECIPIENT_CODES:
        return Cause.RECIPIENT
    phrase, code = cause_by_phrase(text), _by_enhanced_code(enhanced)
    # RFC 5248 words 5.7.13 "User Account Disabled", and means the account that logs in.
    if phrase in (Cause.ADDRESS, Cause.RECIPIENT) and (code is Cause.LOGIN or reply_code in _LOGIN_REPLIES):
        return Cause.LOGIN
    return phrase or code or _REPLY_CODES.get(reply_code)


def _by_enhanced_code(code: str | None) -> Cause | None:
    if code is None:
        return None
    if code in _CODES_WITH_CLASS:
        return _CODES_WITH_CLASS[code]
    detail = code[2:]
    if _MESSAGE_CODES.fullmatch(detail):
        return Cause.RECIPIENT
    return _CODES.get(detail) or next((cause for pattern, cause in _RANGES if pattern.fullmatch(detail)), None)
