"""What a bounce's code means, and what to do about it (RFC 3463, and the registry that RFC 5248 began). Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Advice:
    meaning: str
    action: str


_OTHER_ADDRESS = "Ask the customer for another address. A booking that is confirmed again with it is mailed again."
_RELAY = "Nothing, where it is one domain; else ask the relay's log."
_BY_CODE = {
    "1.1": Advice("There is no such mailbox", _OTHER_ADDRESS),
    "1.10": Advice("There is no such mailbox, or its domain takes no mail", _OTHER_ADDRESS),
    "1.2": Advice("There is no such domain", _OTHER_ADDRESS),
    "1.3": Advice("The address is written wrongly", _OTHER_ADDRESS),
    "1.6": Advice("The mailbox has moved and left no address", _OTHER_ADDRESS),
    "2.1": Advice("The mailbox is turned off", _OTHER_ADDRESS),
    "2.2": Advice("The mailbox is full", "Nothing for now: the next mail may find room."),
    "2.3": Advice("The mail is too large for this mailbox", "Make it smaller: MAX_ATTACHMENT_BYTES, and the logo."),
    "3.4": Advice("The mail is too large for that server", "Make it smaller: MAX_ATTACHMENT_BYTES, and the logo."),
    "4.1": Advice("The server of that domain did not answer", _RELAY),
    "4.4": Advice("The domain has no mail server", _OTHER_ADDRESS),
    "4.7": Advice("The relay gave up after trying for days", _RELAY),
}  # fmt: skip
_BY_SUBJECT = {
    "1": Advice("The address is refused", _OTHER_ADDRESS),
    "2": Advice("The mailbox takes nothing just now", "Nothing for now, unless it goes on."),
    "4": Advice("The mail could not be carried there", "Ask the relay's log, where many domains are named."),
    "6": Advice(
        "The content cannot be carried there", "Look at the mail in its record: letters or a part are refused."
    ),
    "7": Advice(
        "The server refuses us, not the address",
        "Look at the server's words in a record: SPF, DKIM and DMARC of the sender's domain, and its reputation.",
    ),
}
_UNKNOWN = Advice("The server gave no reason that can be classed", "Look at the server's words in a record.")
_DROPPED = Advice(
    "The provider did not even try",
    "The address stands on the provider's own list, by an earlier bounce or complaint: look there.",
)


def advice(code: str | None) -> Advice:
    """`code`: an enhanced status code, such as 5.1.1, or a provider's own word."""
    kind, _, detail = (code or "").partition(".")
    if code and kind not in ("4", "5"):
        return _DROPPED
    return _BY_CODE.get(detail) or _BY_SUBJECT.get(detail.partition(".")[0]) or _UNKNOWN
