"""Parses a mail as a mail client does, for the checks and the gallery."""

import re
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser

from notification_service.channels.email.mail import Mail

_VOID = frozenset({"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"})
_WITHOUT_TEXT = frozenset({"style", "script", "title", "head"})
_WITH_TEXT = frozenset({"a", "h1", "h2", "h3", "li", "p", "td", "th"})
_STYLED_SOURCE = re.compile(r"""url\(\s*["']?([^"')\s]+)""")

Attributes = dict[str, str]


@dataclass(slots=True)
class HtmlContent:
    """The content of the HTML. Links and images in Outlook's conditional comments count too."""

    links: list[str] = field(default_factory=list)
    images: list[Attributes] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    """Sources of images, also those of style sheets."""
    facts: list[list[str]] = field(default_factory=list)
    """The rows of each table.facts, cell by cell."""
    texts: list[str] = field(default_factory=list)
    """Every piece of text between two tags, and the alternative texts of images."""
    empty: list[str] = field(default_factory=list)
    """The tags of elements that should have text and have none."""
    preheader: str = ""


@dataclass(frozen=True, slots=True)
class MailReading:
    """A mail and its parsed parts. `template`: the folder that it was rendered from."""

    template: str
    mail: Mail
    raw: bytes
    message: EmailMessage
    html: HtmlContent

    @property
    def bare_size(self) -> int:
        """The size of the message without attachments, in bytes."""
        attached = (part for part in self.message.walk() if part.get_content_disposition() == "attachment")
        return len(self.raw) - sum(len(part.as_bytes()) for part in attached)


def read(template: str, mail: Mail, raw: bytes) -> MailReading:
    message = message_from_bytes(raw, _class=EmailMessage, policy=policy.default)
    return MailReading(template, mail, raw, message, html_content(mail.html))


def html_content(html: str) -> HtmlContent:
    reader = _Reader()
    reader.feed(html)
    reader.close()
    reader.content.sources += _STYLED_SOURCE.findall(html)
    return reader.content


@dataclass(slots=True)
class _Element:
    tag: str
    classes: list[str]
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.content = HtmlContent()
        self._open: list[_Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        found = self.content
        found.sources += [given[name] for name in ("src", "background") if name in given and tag != "script"]
        if "href" in given and tag != "link":
            found.links.append(given["href"])
        if tag == "img":
            found.images.append(given)
            self._add_text(given.get("alt") or "image")
        if tag == "tr" and self._inside("facts"):
            found.facts.append([])
        if tag not in _VOID:
            self._open.append(_Element(tag, given.get("class", "").split()))

    def handle_endtag(self, tag: str) -> None:
        if tag not in (element.tag for element in self._open):
            return
        while (element := self._open.pop()).tag != tag:
            pass
        self._ended(element)

    def _ended(self, element: _Element) -> None:
        fact = element.tag in ("td", "th") and self._inside("facts")
        if fact and self.content.facts:
            self.content.facts[-1].append(element.text)
        # A cell outside of table.facts may serve the layout.
        if element.tag in _WITH_TEXT and not element.text and (fact or element.tag != "td"):
            self.content.empty.append(element.tag)
        if "preheader" in element.classes:
            self.content.preheader = element.text

    def handle_data(self, data: str) -> None:
        if not any(element.tag in _WITHOUT_TEXT for element in self._open):
            self._add_text(data)

    def handle_comment(self, data: str) -> None:
        conditional = data.partition("<![endif]")[0]
        inner = html_content(conditional) if conditional.startswith("[if") else HtmlContent()
        self.content.links += inner.links
        self.content.images += inner.images
        self.content.sources += inner.sources

    def _add_text(self, text: str) -> None:
        self.content.texts.append(text)
        for element in self._open:
            element.texts.append(text)

    def _inside(self, name: str) -> bool:
        return any(name in element.classes for element in self._open)
