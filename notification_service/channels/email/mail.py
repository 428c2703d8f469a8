"""An e-mail as a template and as rendered parts, before it becomes bytes."""

from dataclasses import dataclass, field
from typing import ClassVar

from jinja2 import Template

from notification_service.content.templates import SharedPhrases
from notification_service.contract.remarks import Remark
from notification_service.delivery.ports.channel import OutgoingMessage

PARTS = ("subject.txt", "body.txt", "body.html")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that rides along, or an image that the html shows as `cid:<content_id>`."""

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
    """What an operator should know of it: a link that was left out, a language that nobody speaks."""


@dataclass(frozen=True, slots=True)
class MailTemplate:
    """The three parts of one e-mail, compiled. `digest` names their content, shared parts included."""

    name: str
    digest: str
    subject: Template
    text: Template
    html: Template
    words: "SharedPhrases"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingEmail(OutgoingMessage):
    """A message with CRLF line ends (RFC 5322); `sender` and `recipient` are the addresses of its envelope (RFC 5321).

    `needs_smtputf8`: an address of it is not ASCII (RFC 6531).
    """

    suffix: ClassVar[str] = ".eml"

    sender: str
    needs_smtputf8: bool = False
