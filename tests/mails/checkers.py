"""The checks that Python makes of a mail. Each yields (rule, what): what is wrong, and nothing when all is well."""

import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from email.message import MIMEPart
from functools import partial
from pathlib import Path
from typing import Any

import icalendar
import qrfast
from PIL import Image, ImageOps

from tests.mails.mail import Mail, MailFinding

Problems = Iterator[tuple[str, str]]
Checker = Callable[[Mail], Problems]

ONCE = ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Auto-Submitted")
AT_MOST_ONCE = ("Sender", "Reply-To", "Cc", "References", "Content-Type", "List-Unsubscribe")
SUBJECT = 60
LINE = 998
HTML_SIZE = 40_000
MESSAGE_SIZE = 100_000


def message(mail: Mail) -> Problems:
    """RFC 5322 and MIME, as a strict reader sees them."""
    names = Counter(name.lower() for name in mail.message)
    for name in ONCE:
        if names[name.lower()] != 1:
            yield "header", f"{name} stands there {names[name.lower()]} times"
    for name in AT_MOST_ONCE:
        if names[name.lower()] > 1:
            yield "header", f"{name} stands there {names[name.lower()]} times"
    for part in mail.message.walk():
        for defect in (*part.defects, *(d for value in part.values() for d in getattr(value, "defects", ()))):
            yield "defect", f"{part.get_content_type()}: {defect or type(defect).__name__}"
    if len(subject := str(mail.message["Subject"])) > SUBJECT:
        yield "subject", f"{len(subject)} characters long: {subject}"
    if re.search(rb"(?<!\r)\n|\r(?!\n)", mail.raw):
        yield "crlf", "a line ends otherwise"
    if (longest := max(map(len, mail.raw.split(b"\r\n")))) > LINE:
        yield "line", f"{longest} octets long"
    yield from _sizes(mail)
    yield from _structure(mail)


def _sizes(mail: Mail) -> Problems:
    if (size := len(mail.html.encode())) >= HTML_SIZE:
        yield "html-size", f"{size} bytes"
    attached = sum(len(part.as_bytes()) for part in mail.parts if part.get_content_disposition() == "attachment")
    if (size := len(mail.raw) - attached) >= MESSAGE_SIZE:
        yield "message-size", f"{size} bytes without attachments"


def _structure(mail: Mail) -> Problems:
    """mixed(related(alternative(text, html)...)...) or any of it that is needed; calendars may follow the html."""
    for part in mail.parts:
        if part.get_content_maintype() == "text" and "\ufffd" in str(part.get_content()):
            yield "charset", f"{part.get_content_type()} has what its charset does not"
    alternatives = [part for part in mail.message.walk() if part.get_content_type() == "multipart/alternative"]
    if len(alternatives) != 1:
        yield "order", f"{len(alternatives)} multipart/alternative"
        return
    inside = [_first(part).get_content_type() for part in alternatives[0].iter_parts()]
    if inside[:2] != ["text/plain", "text/html"]:
        yield "order", f"multipart/alternative of {', '.join(inside)}"


def _first(part: MIMEPart) -> MIMEPart:
    return next(each for each in part.walk() if not each.is_multipart())


def head(mail: Mail) -> Problems:
    """What a client reads before the body."""
    found = mail.markup
    if not mail.html.lstrip().lower().startswith("<!doctype html"):
        yield "doctype", "missing"
    if found.root.get("dir") not in {"ltr", "rtl"} or not found.root.get("lang"):
        yield "lang", f"<html> has only {found.root}"
    if found.title.strip() != (subject := str(mail.message["Subject"])):
        yield "title", f"{found.title.strip()!r} is not the subject {subject!r}"
    for name in ("charset", "viewport", "color-scheme", "supported-color-schemes"):
        if name not in found.metas:
            yield "meta", f"{name} missing"


def facts(mail: Mail) -> Problems:
    """Who reads the text part learns the same."""
    text = _bare(mail.text)
    for tag, content in mail.markup.facts:
        if _bare(content) not in text:
            yield "fact" if tag == "td" else "label", f"not in the text: {' '.join(content.split())}"
        if not _bare(content):
            yield "empty", f"a <{tag}> of the facts says nothing"
    for link in mail.markup.links:
        if _bare(link.removeprefix("mailto:")) not in text:
            yield "link", f"not in the text: {link}"


def _bare(text: str) -> str:
    """Without white space, and without the marks that only say in which direction to read or where to break."""
    return re.sub(r"[\s\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]", "", text)


def images(mail: Mail) -> Problems:
    """Inline or https, with their size, and with words for whoever does not see them."""
    for image in mail.markup.images:
        for name in ("width", "height"):
            if not image.get(name, "").isdigit():
                yield "size", f"{name} missing: {image.get('src')}"
        if "alt" not in image:
            yield "alt", f"missing: {image.get('src')}"
    named = set()
    for source in mail.markup.sources:
        if source.startswith("cid:"):
            named.add(cid := source.removeprefix("cid:"))
            if cid not in mail.images:
                yield "cid", f"{source} names no part"
        elif not source.startswith("https://"):
            yield "source", f"neither inline nor https: {source[:60]}"
    for cid in mail.images.keys() - named:
        yield "cid", f"<{cid}> is shown nowhere"


def links(mail: Mail) -> Problems:
    for link in mail.markup.links:
        if not re.match(r"https://[^\s/]+\.[^\s/]+|mailto:[^@\s]+@[^@\s]+$", link):
            yield "scheme", f"neither https nor mailto: {link!r}"


def json_ld(mail: Mail) -> Problems:
    """schema.org's EventReservation, with all that Google asks for."""
    for kind, content in mail.markup.scripts:
        if kind != "application/ld+json":
            yield "script", f"a script of type {kind!r}"
            continue
        try:
            data = json.loads(content)
        except ValueError as error:
            yield "json", str(error)
            continue
        for each in data if isinstance(data, list) else [data]:
            if each.get("@context") not in {"http://schema.org", "https://schema.org"}:
                yield "context", f"{each.get('@context')!r}"
            if each.get("@type") == "EventReservation":
                yield from _reservation(each)


def _reservation(data: dict[str, Any]) -> Problems:
    for path in (
        "reservationNumber",
        "reservationStatus",
        "underName.@type",
        "underName.name",
        "reservationFor.@type",
        "reservationFor.name",
        "reservationFor.startDate",
        "reservationFor.location.@type",
        "reservationFor.location.name",
        "reservationFor.location.address",
    ):
        value: Any = data
        for step in path.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        if not value:
            yield "property", f"{path} missing"
        elif path.endswith("startDate") and not _has_offset(value):
            yield "start", f"{value!r} is no time with an offset"
        elif path == "reservationStatus" and not re.fullmatch(
            r"https?://schema\.org/Reservation(Confirmed|Cancelled|Pending|Hold)", value
        ):
            yield "status", repr(value)


def _has_offset(value: str) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def calendar(mail: Mail) -> Problems:
    """RFC 5545, and a method that agrees with the status and with the MIME part."""
    for part in mail.parts:
        if part.get_content_type() != "text/calendar":
            continue
        data = part.get_payload(decode=True)
        assert isinstance(data, bytes)
        if re.search(rb"(?<!\r)\n", data) or any(len(line) > 75 for line in data.split(b"\r\n")):
            yield "lines", "CRLF and at most 75 octets"
        try:
            file = icalendar.Calendar.from_ical(data)
        except ValueError as error:
            yield "parse", str(error)
            continue
        assert isinstance(file, icalendar.Calendar)
        method = str(file.get("METHOD"))
        if part["Content-Type"].params.get("method", method) != method:
            yield "method", f"{method} in the file, {part['Content-Type']} outside of it"
        yield from _required(file, "PRODID", "VERSION", "METHOD")
        if not file.events:
            yield "event", "none"
        for event in file.events:
            yield from _required(event, "UID", "DTSTAMP", "DTSTART", "SUMMARY")
            cancels = str(event.get("STATUS")) == "CANCELLED"
            if cancels != (method == "CANCEL"):
                yield "status", f"METHOD {method}, STATUS {event.get('STATUS')}"
            if cancels and int(event.get("SEQUENCE", 0)) < 1:
                yield "sequence", "a cancellation comes after something"


def _required(component: icalendar.Component, *names: str) -> Problems:
    for name in names:
        if name not in component:
            yield "property", f"{component.name} without {name}"
    for property_name, problem in component.errors:
        yield "property", f"{property_name}: {problem}"


def qr(mail: Mail, samples: Path | None = None) -> Problems:
    """A door's scanner reads in the picture what stands beside it, on a dark screen as well."""
    for cid, (_, data) in mail.images.items():
        try:
            picture = ImageOps.expand(Image.open(io.BytesIO(data)).convert("RGBA").convert("L"), border=40, fill=0)
        except OSError as error:
            yield "unreadable", f"<{cid}>: {error}"
            continue
        codes = qrfast.decode_qrs_bytes(picture.tobytes(), *picture.size, try_harder=True)
        if not codes and "qr" in cid.lower():
            yield "unreadable", f"<{cid}>"
        for code in codes:
            if _bare(code) not in _bare(mail.text) and code not in _tokens(mail, samples):
                yield "code", f"<{cid}> says {code!r}, the text does not"


def _tokens(mail: Mail, samples: Path | None) -> set[str]:
    """The ticket token of the event this mail was made of: it is scanned, and need not be read."""
    events = (
        json.loads(file.read_text(encoding="utf-8"))
        for file in (samples.glob("*.json") if samples else ())
        if f"{mail.name}.".startswith(f"{file.stem}.")
    )
    return {str(event.get("ticket_token")) for event in events}


def checkers(samples: Path | None = None) -> dict[str, Checker]:
    return {
        "message": message,
        "head": head,
        "facts": facts,
        "images": images,
        "links": links,
        "json-ld": json_ld,
        "calendar": calendar,
        "qr": partial(qr, samples=samples),
    }


def check(mails: Iterable[Mail], samples: Path | None = None) -> list[MailFinding]:
    return [
        MailFinding(mail=mail.name, checker=name, rule=rule, what=what)
        for mail in mails
        for name, problems in checkers(samples).items()
        for rule, what in problems(mail)
    ]
