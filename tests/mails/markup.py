"""What the checks need to know of a mail's html, read once by the standard library's parser."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

Attributes = dict[str, str]

_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


@dataclass
class Markup:
    root: Attributes = field(default_factory=dict)
    title: str = ""
    metas: dict[str, str] = field(default_factory=dict)
    images: list[Attributes] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    """Where images come from, backgrounds and those for Outlook only among them."""
    scripts: list[tuple[str, str]] = field(default_factory=list)
    """Type and content."""
    facts: list[tuple[str, str]] = field(default_factory=list)
    """`th` or `td`, and its text, of table.facts."""


def parse(html: str) -> Markup:
    reader = _Reader()
    reader.feed(html)
    reader.close()
    found = reader.found
    found.sources += re.findall(r"""url\(\s*["']?([^"')\s]+)""", html)
    return found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found = Markup()
        self._open: list[str] = []
        self._facts = 0
        """How many elements were open when the table of facts began; 0 outside of one."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag not in _VOID:
            self._open.append(tag)
        self._note(tag, given)
        if tag == "html":
            self.found.root = given
        elif tag == "meta":
            self.found.metas[given.get("name", "charset" if "charset" in given else "")] = given.get("content", "")
        elif tag == "img":
            self.found.images.append(given)
        elif tag == "script":
            self.found.scripts.append((given.get("type", ""), ""))
        elif tag == "table" and "facts" in given.get("class", "").split():
            self._facts = len(self._open)
        elif tag in {"th", "td"} and self._facts:
            self.found.facts.append((tag, ""))

    def handle_endtag(self, tag: str) -> None:
        while tag in self._open and self._open.pop() != tag:
            pass
        if len(self._open) < self._facts:
            self._facts = 0

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        if inside == "title":
            self.found.title += data
        elif inside == "script":
            kind, content = self.found.scripts[-1]
            self.found.scripts[-1] = kind, content + data
        elif self._facts and self.found.facts and {"th", "td"} & set(self._open[self._facts :]):
            tag, content = self.found.facts[-1]
            self.found.facts[-1] = tag, content + data

    def handle_comment(self, data: str) -> None:
        """Outlook on Windows reads what stands in a conditional comment."""
        inner = _Reader()
        inner.feed(data)
        self.found.links += inner.found.links
        self.found.sources += inner.found.sources
        self.found.images += inner.found.images

    def _note(self, tag: str, given: Attributes) -> None:
        if "href" in given and tag != "link":
            self.found.links.append(given["href"])
        self.found.sources += [given[name] for name in ("src", "background") if name in given and tag != "script"]
