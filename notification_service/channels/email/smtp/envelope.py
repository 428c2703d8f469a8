"""Sender and recipient of a mail as SMTP commands, and its content as DATA and BDAT take it.

RFC 5321 §4.1.1 (commands), RFC 6152 (8BITMIME), RFC 6531 (SMTPUTF8), RFC 3030 (BDAT).
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

from notification_service.channels.email.mail import OutgoingEmail

_NOT_ONE_ADDRESS = re.compile(r"[\s<>,\x00-\x1f\x7f]")
"""What would end the address, or begin another one or a further command (pitfalls.md, 14)."""
_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Envelope:
    """`utf8`: whether the server has to offer SMTPUTF8. `eight_bit`: whether the content has octets above 127."""

    sender: bytes
    recipient: bytes
    utf8: bool
    eight_bit: bool = False

    @classmethod
    def of(cls, mail: OutgoingEmail) -> Self:
        """Raises `ValueError` where sender or recipient is not one plain address."""
        if _NOT_ONE_ADDRESS.search(mail.sender + mail.recipient):
            raise ValueError("the envelope's sender or recipient is not one plain address")
        encoding = "utf-8" if mail.needs_smtputf8 else "ascii"
        eight_bit = not mail.content.isascii()
        return cls(mail.sender.encode(encoding), mail.recipient.encode(encoding), mail.needs_smtputf8, eight_bit)

    def fits(self, offered: Collection[str]) -> bool:
        """Whether a server that offers these extensions can take it."""
        return not self.utf8 or "smtputf8" in offered

    def mail(self, offered: Collection[str]) -> bytes:
        # Content of 7 bits needs no 8BITMIME, and a filter on the way may not know what the server offers.
        body = b" BODY=8BITMIME" if (self.eight_bit or self.utf8) and "8bitmime" in offered else b""
        return b"MAIL FROM:<%b>%b%b\r\n" % (self.sender, body, b" SMTPUTF8" if self.utf8 else b"")

    @property
    def rcpt(self) -> bytes:
        return b"RCPT TO:<%b>\r\n" % self.recipient


def for_bdat(content: bytes) -> bytes:
    """The one and last chunk (RFC 3030 §2). Without BINARYMIME its lines end with CRLF."""
    content = _with_line_ends(content)
    return b"BDAT %d LAST\r\n%b" % (len(content), content)


def for_data(content: bytes) -> bytes:
    """The content with its dots doubled (RFC 5321 §4.5.2) and the final dot."""
    content = _with_line_ends(content).replace(b"\r\n.", b"\r\n..")
    return b"%b%b.\r\n" % (b"." if content.startswith(b".") else b"", content)


def _with_line_ends(content: bytes) -> bytes:
    if not content.count(b"\n") == content.count(b"\r") == content.count(b"\r\n"):
        content = _LINE_END.sub(b"\r\n", content)
    return content if content.endswith(b"\r\n") else content + b"\r\n"
