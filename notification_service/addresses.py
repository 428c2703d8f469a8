"""Mail addresses: what is one, and how one is shown where it must not be readable."""

import re

from email_validator import EmailNotValidError, validate_email

_LOCAL, _LETTER = r"[^\s<>\"(),:;@]", r"[^\s<>\"'(),:;=@"
# Each part can be matched in one way only, so that a text that an event chose costs no more than its length.
_IN_TEXT = re.compile(rf"(?<!{_LOCAL}){_LOCAL}+@\.*{_LETTER}.]+(?:\.+{_LETTER}.]+)+")


class NotAnAddressError(ValueError):
    """The text is no deliverable mail address; the message says why without repeating it."""


def parse_address(text: str) -> str:
    """The normalised form of one bare address (RFC 5321, RFC 6531), its domain lower-cased.

    Only the syntax is checked; no DNS is asked. Raises `NotAnAddressError`.
    """
    if "=?" in text:
        # RFC 5321 allows its letters, but a reader that decodes the encoded word (RFC 2047) finds another header in it.
        raise NotAnAddressError("it holds an encoded word, which no mail address has")
    try:
        # The reserved names (.example, .test) are addresses like any other to us: the syntax decides.
        return validate_email(text.strip(), check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError as problem:
        raise NotAnAddressError(mask_in(str(problem))) from None


def mask(address: str) -> str:
    """`jane.smith@example.com` → `j***@example.com`."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}***{at}{domain}"


def mask_in(text: str) -> str:
    """The text with every address in it masked."""
    return _IN_TEXT.sub(lambda found: mask(found.group()), text) if "@" in text else text
