"""What others say about a message, made fit for a record: one short line without anybody's address."""

import re

from notification_service.foundation.addresses import NotAnAddressError, mask_in, read_mailbox
from notification_service.foundation.printable import shown

_MAX_LENGTH = 200
_MAX_READ = 4000
_MIN_NAME_LENGTH = 4
_ENHANCED = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.]*\d)")
"""RFC 3463 §2."""


def one_line(text: str, address: str | None = None) -> str:
    """The text on one printable line of at most 200 characters, its addresses masked and `address` left out.

    Servers also name a mailbox without its domain. A short name is left: it may be any word.
    """
    line = " ".join(text[:_MAX_READ].split())
    if address:
        line = re.sub(re.escape(address), "(the address)", line, flags=re.IGNORECASE)
        name = address.rpartition("@")[0]
        if len(name) >= _MIN_NAME_LENGTH:
            line = re.sub(rf"(?<![\w.@-]){re.escape(name)}(?![\w@-])", "(the mailbox)", line, flags=re.IGNORECASE)
    return shown(mask_in(line))[:_MAX_LENGTH].rstrip()


def enhanced_code(text: str) -> str | None:
    """The first enhanced status code in a text, such as `5.1.1`."""
    found = _ENHANCED.search(text[:_MAX_READ])
    return found[0] if found else None


def mailbox_or_none(text: str) -> str | None:
    """The address that a field names; None where it names none, or nothing that can be read as one."""
    try:
        return read_mailbox(text[:_MAX_READ])
    except NotAnAddressError:
        return None
