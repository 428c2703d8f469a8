"""Finds out why a payment failed, from known codes and phrases alone, and what a mail may say about it.

The sentences are in `templates/_base/words.txt`, where they can be changed and translated.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, auto

from notification_service.content.decline_codes import (
    CARD_CODES,
    CARD_PHRASES,
    CODES,
    PHRASES,
    PROCESSOR_CODES,
    UPI_CODES,
    Reason,
)
from notification_service.contract.events import PaymentFailed
from notification_service.foundation.caching import bounded_cache


class _Method(Enum):
    CARD = auto()
    UPI = auto()
    OTHER = auto()
    """Any method but cards and UPI: the mail does not mention a card."""
    UNKNOWN = auto()


def _all(words: str) -> frozenset[str]:
    return frozenset(words.split())


_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_CAMEL_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_CLAUSES = re.compile(r"[.,;:!()\[\]{}\n]+|\s[-\u2013\u2014]+\s|\b(?:because|due|but|however|since)\b", re.IGNORECASE)
_FILLERS = _all("the your a an has have had been is was were are this my their customer's")
_NEGATIONS = _all("no not never without non none cannot nothing isnt wasnt hasnt")
_DOUBTS = _all("if unless whether may might maybe possibly perhaps probably or false passed cleared approved")
_DENIALS = _all("no none false passed ok cleared negative 0")
_ANOTHER_LIMIT = _all("api request requests rate call calls quota token attempts retries retry")
_ANOTHER_CARD = _all("gift sim loyalty discount token session sd id membership")
_CARD_WORDS = _all("card cards cvv cvc cvv2 cardholder avs")
_TAKEN = _all("charged debited deducted captured settled paid taken withdrawn refund refunded reversed")
_METHODS = (
    # Gift cards are not issued by banks.
    (_Method.OTHER, re.compile(r"gift|voucher|coupon|points|loyalty|(store|account) credit")),
    (
        _Method.CARD,
        re.compile(r"card|visa|master|maestro|amex|american express|discover|diners|\bjcb\b|rupay|union ?pay"),
    ),
    (_Method.UPI, re.compile(r"\b(upi|vpa|bhim)\b")),
    (
        _Method.OTHER,
        re.compile(
            r"bank|transfer|wallet|pay ?pal|pay ?tm|phone ?pe|cash|direct ?debit|mobile ?money|crypto|bitcoin|sofort"
            r"|giropay|klarna|afterpay|affirm|boleto|oxxo|venmo|trustly|swish|przelewy|pay later|multibanco|paysafe"
            r"|bancontact|(ali|we ?chat|google|apple|amazon|samsung|grab|shop|g) ?pay\b|\bm ?pesa"
            r"|\b(pix|emi|eps|ach|ideal|sepa|fpx|blik|qr|wire|bnpl|interac)\b"
        ),
    ),
    (_Method.CARD, re.compile(r"\b(credit|debit|cc|dc)\b")),
)
"""The first pattern that matches names the method; without a match it is `UNKNOWN`."""

_WITHOUT_CARD = (_Method.UPI, _Method.OTHER)
_OF_A_CARD = (Reason.EXPIRED, Reason.DETAILS)
_BY_THE_BANK = frozenset(
    {Reason.FUNDS, Reason.EXPIRED, Reason.DETAILS, Reason.LIMIT, Reason.SUSPECTED, Reason.DECLINED, Reason.UNSUPPORTED}
)
_OF_A_PROGRAM = re.compile(
    r"://|[{}<>=\\]|\b(?:[Tt]raceback|[Ss]tack ?[Tt]race)\b|[Ee]xception\b|\w\(\)|\d+\.\d+\.\d+\.\d+:\d"
    r"|\bE(?:CONN|TIMEDOUT|NOTFOUND|PIPE|HOSTUNREACH|AI_)[A-Z]*\b|\bat [\w$.]+\("
)
"""Technical text, such as a stack trace: it may hold a link, a host name, a password."""

_NOT_FOR_THE_PAYER = _all(
    "fraud fraudulent fraudster risk risky aml kyc sanction sanctions sanctioned ofac pep terrorist terrorism "
    "blacklist blacklisted blocklist blocklisted denylist stolen suspected suspicious suspicion radar laundering"
)
"""Words of a suspicion, which the mail does not repeat: it says only that the payment was stopped."""

_A_CODE = re.compile(r"(?=.*(?:\d|[A-Z]_[A-Z]))[A-Za-z0-9]{1,20}(?:[-_][A-Za-z0-9]{1,20}){0,4}")
"""A code has a digit, or is in capitals with underscores; a word alone is a text."""

_NO_REASON = _all("success successful succeeded ok okay approved completed")
_REFUSED = re.compile(r"DECLINED|REFUSED|REJECTED", re.IGNORECASE)
_GATEWAY_CODES = ("error_code", "decline_code", "error_reason", "refusal_reason", "reason_code")
_CACHE_SIZE = 512
"""Gateways have few codes and texts."""
_MAX_LENGTH = 300
"""A longer text names no single reason."""


def _by_code(*tables: Mapping[Reason, str]) -> dict[str, Reason]:
    return {code: reason for table in tables for reason, codes in table.items() for code in codes.split()}


def _by_phrase(*tables: Mapping[Reason, str]) -> dict[tuple[str, ...], Reason]:
    return {
        tuple(phrase.split()): reason
        for table in tables
        for reason, phrases in table.items()
        for phrase in phrases.split(";")
    }


_Known = tuple[Mapping[str, Reason], Mapping[tuple[str, ...], Reason]]
_KNOWN: Mapping[_Method, _Known] = {
    _Method.CARD: (_by_code(CODES, CARD_CODES), _by_phrase(PHRASES, CARD_PHRASES)),
    _Method.UPI: (_by_code(CODES, UPI_CODES), _by_phrase(PHRASES)),
    _Method.OTHER: (_by_code(CODES), _by_phrase(PHRASES)),
    _Method.UNKNOWN: (_by_code(CODES, CARD_CODES), _by_phrase(PHRASES, CARD_PHRASES)),
}
_OF_PROCESSORS = _by_code(PROCESSOR_CODES)
_MAX_PHRASE_LENGTH = max(len(phrase) for _, phrases in _KNOWN.values() for phrase in phrases)


def reason(event: PaymentFailed) -> Reason | None:
    """Returns the reason that the event's code names, else its text; None where neither is certain."""
    method = _method(event.payment_method or "")
    found = [known for known in _found(event, method) if known]
    # Gateways say "declined" beside the real reason, so a more specific one is preferred.
    chosen = next((known for known in found if known is not Reason.DECLINED), found[0] if found else None)
    # Whether a bank is behind a wallet is unknown.
    return Reason.DECLINED if chosen is Reason.SUSPECTED and method in _WITHOUT_CARD else chosen


def by_card(event: PaymentFailed) -> bool:
    return _method(event.payment_method or "") is _Method.CARD


def may_still_be_charged(known: Reason | None) -> bool:
    """Whether a payment that failed for this reason may have gone through all the same: its end is unknown."""
    return known in (None, Reason.TECHNICAL, Reason.TIMED_OUT)


def error_code(event: PaymentFailed) -> str | None:
    """Returns the gateway's code, which may help to ask about a payment that failed for no known reason.

    None where it is a text, is technical, mentions a suspicion, or names a card where none was used.
    """
    codes = (code for code in (event.error_code, event.failure_reason) if code and _A_CODE.fullmatch(code))
    return next((code for code in codes if _may_be_shown(code, event)), None)


def _may_be_shown(code: str, event: PaymentFailed) -> bool:
    words = set(_words(code))
    if _OF_A_PROGRAM.search(code) or _NOT_FOR_THE_PAYER & words or words <= _NO_REASON:
        return False
    if _method(event.payment_method or "") not in _WITHOUT_CARD:
        return True
    return not (_CARD_WORDS & words or _reason_in(code, _Method.CARD))


def nothing_charged(event: PaymentFailed) -> bool:
    """Whether surely no money was taken: the gateway calls a card payment declined, and the bank is the reason.

    With other methods, such as UPI and transfers, a bank may take the money first and return it later.
    """
    answer = event.gateway_response or {}
    status = answer.get("gateway_status")
    if not isinstance(status, str) or not _REFUSED.fullmatch(status.strip()) or _may_be_taken(event, answer):
        return False
    method, found = _method(event.payment_method or ""), reason(event)
    return found in (_BY_THE_BANK if method is _Method.CARD else _OF_A_CARD) and method not in _WITHOUT_CARD


def _may_be_taken(event: PaymentFailed, answer: Mapping[str, object]) -> bool:
    texts = (*_texts(event), *(str(name) for name, value in answer.items() if value))
    return any(map(_speaks_of_taking, texts))


@bounded_cache(_CACHE_SIZE)
def _speaks_of_taking(text: str) -> bool:
    return not _TAKEN.isdisjoint(_words(text))


def _found(event: PaymentFailed, method: _Method) -> Iterator[Reason | None]:
    processor = _OF_PROCESSORS.get(str((event.gateway_response or {}).get("processor_response_code")))
    if processor not in _OF_A_CARD or method not in _WITHOUT_CARD:
        yield processor
    for text in _texts(event):
        yield _reason_in(text, method)


@bounded_cache(_CACHE_SIZE)
def _method(name: str) -> _Method:
    # `bankTransfer` is two words, and `iDEAL` is one.
    words = " ".join((*_words(name), "/", *_WORD.findall(name.casefold())))
    return next((method for method, names in _METHODS if names.search(words)), _Method.UNKNOWN)


def _texts(event: PaymentFailed) -> Iterator[str]:
    answer = event.gateway_response or {}
    for text in (event.error_code, *map(answer.get, _GATEWAY_CODES), event.failure_reason):
        if isinstance(text, str | int) and not isinstance(text, bool):
            yield str(text)


def _words(text: str) -> list[str]:
    """The whole words of a text: `InsufficientFunds`, `INSUFFICIENT-FUNDS` and `insufficient funds` have two each."""
    words = _WORD.findall(_CAMEL_CASE.sub(" ", text).casefold())
    return ["cancelled" if word == "canceled" else word for word in words]


@bounded_cache(_CACHE_SIZE)
def _reason_in(text: str, method: _Method) -> Reason | None:
    codes, phrases = _KNOWN[method]
    if len(text) > _MAX_LENGTH or "?" in text:
        return None
    if known := codes.get("".join(_words(text))):
        return known
    clauses = [_words(clause) for clause in _CLAUSES.split(text)]
    if any(clause and _DENIALS.issuperset(clause) for clause in clauses):
        return None
    found = {known for clause in clauses for known in _reasons_in(clause, phrases)}
    finer = found - {Reason.DECLINED}
    # Two reasons at once are ambiguous.
    return finer.pop() if len(finer) == 1 else Reason.DECLINED if Reason.DECLINED in found else None


def _reasons_in(clause: Sequence[str], phrases: Mapping[tuple[str, ...], Reason]) -> set[Reason]:
    """The reasons that a clause names without negation, condition or alternative."""
    words = [word for word in clause if word not in _FILLERS]
    found, left, at = set[Reason](), list[str](), 0
    while at < len(words):
        length, known = _longest(words, at, phrases)
        if known is None:
            left.append(words[at])
        else:
            found.add(known)
        at += length
    beside = set(left)
    if "or" in beside:
        found &= {Reason.DECLINED}
        beside.discard("or")
    if beside & (_NEGATIONS | _DOUBTS) or any("n't" in word or "n\u2019t" in word for word in left):
        return set()
    if beside & _ANOTHER_LIMIT:
        found.discard(Reason.LIMIT)
    if beside & _ANOTHER_CARD:
        found.discard(Reason.EXPIRED)
    return found


def _longest(words: Sequence[str], at: int, phrases: Mapping[tuple[str, ...], Reason]) -> tuple[int, Reason | None]:
    for length in range(min(_MAX_PHRASE_LENGTH, len(words) - at), 0, -1):
        if known := phrases.get(tuple(words[at : at + length])):
            return length, known
    return 1, None
