"""An e-mail as compiled templates, as rendered parts, and as the message that goes out."""

from dataclasses import dataclass, field
from typing import ClassVar

from jinja2 import Template

from notification_service.content.templates import SharedPhrases
from notification_service.contract.remarks import Remark
from notification_service.delivery.ports.channel import OutgoingMessage

PARTS = ("subject.txt", "body.txt", "body.html")


@dataclass(frozen=True, slots=True)
class Attachment:
    """An attached file, or an inline image that the HTML shows as `cid:<content_id>` (RFC 2392)."""

    filename: str
    media_type: str
    content: bytes = field(repr=False)
    content_id: str | None = None


@dataclass(frozen=True, slots=True)
class Mail:
    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)
    attachments: tuple[Attachment, ...] = ()
    remarks: tuple[Remark, ...] = ()
    """For the operator, such as a link that was left out."""
    unsubscribe: str | None = None
    """The link by which its reader unsubscribes, where its template is optional."""


@dataclass(frozen=True, slots=True)
class MailTemplate:
    """The three compiled parts of one e-mail. `digest`: of their sources, including shared ones and catalogues.

    `optional`: a reader may unsubscribe from it.
    """

    name: str
    digest: str
    subject: Template
    text: Template
    html: Template
    phrases: SharedPhrases
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingEmail(OutgoingMessage):
    """A message with CRLF line ends (RFC 5322). `sender`, `recipient`: the addresses of its envelope (RFC 5321).

    `needs_smtputf8`: one of them is not ASCII (RFC 6531).
    """

    suffix: ClassVar[str] = ".eml"

    sender: str
    needs_smtputf8: bool = False
