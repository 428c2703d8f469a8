"""One mail as the checks see it: its parts taken out of the file, and its html as a page a browser can open."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cached_property
from pathlib import Path

from tests.mails.markup import Markup, parse


@dataclass(frozen=True)
class MailFinding:
    mail: str
    checker: str
    rule: str
    what: str


@dataclass(frozen=True)
class Mail:
    name: str
    raw: bytes

    @cached_property
    def message(self) -> EmailMessage:
        message = message_from_bytes(self.raw, policy=policy.default)
        assert isinstance(message, EmailMessage)
        return message

    @cached_property
    def parts(self) -> list[EmailMessage]:
        return [part for part in self.message.walk() if not part.is_multipart()]

    def content(self, content_type: str) -> str:
        """The first part of this type, as text; empty when there is none."""
        for part in self.parts:
            if part.get_content_type() == content_type and part.get_content_disposition() != "attachment":
                return str(part.get_content()).replace("\r\n", "\n")
        return ""

    @cached_property
    def html(self) -> str:
        return self.content("text/html")

    @cached_property
    def text(self) -> str:
        return self.content("text/plain")

    @cached_property
    def markup(self) -> Markup:
        return parse(self.html)

    @cached_property
    def images(self) -> dict[str, tuple[str, bytes]]:
        """What `cid:` can name in this mail: Content-ID to type and bytes."""
        return {
            str(part["Content-ID"]).strip().strip("<>"): (part.get_content_type(), _bytes(part))
            for part in self.parts
            if part.get_content_maintype() == "image" and part["Content-ID"]
        }

    def page(self) -> str:
        """The html with its inline images inside it."""

        def embedded(match: re.Match[str]) -> str:
            kind, data = self.images.get(match[1], ("", b""))
            return f"data:{kind};base64,{base64.b64encode(data).decode()}" if kind else match[0]

        return re.sub(r"""cid:([^"'\s)>]+)""", embedded, self.html)


def _bytes(part: EmailMessage) -> bytes:
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload


def read(folder: Path, *, only: Sequence[str] = ()) -> list[Mail]:
    """The mails of a folder whose names start with one of `only`; all of them without it."""
    return [
        Mail(name=file.stem, raw=file.read_bytes())
        for file in sorted(folder.glob("*.eml"))
        if not only or file.stem.startswith(tuple(only))
    ]
