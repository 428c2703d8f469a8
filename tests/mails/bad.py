"""A mail that no checker objects to, and for each rule worth a test one that breaks it and little else."""

import io
from dataclasses import dataclass, replace
from email.message import EmailMessage
from email.policy import SMTP

import zxingcpp
from PIL import Image

from tests.mails.mail import Mail

HTML = """\
<!DOCTYPE html>
<html lang="en" dir="ltr">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title>You're booked</title>
<style>
:root { color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
  .page { background-color: #101010 !important; }
  .link { color: #9ecbff !important; }
}
</style>
<script type="application/ld+json">
{
  "@context": "http://schema.org", "@type": "EventReservation",
  "reservationNumber": "BOOK-1", "reservationStatus": "http://schema.org/ReservationConfirmed",
  "underName": {"@type": "Person", "name": "Jane"},
  "reservationFor": {
    "@type": "Event", "name": "Inception", "startDate": "2026-12-15T20:00:00-05:00",
    "location": {
      "@type": "Place", "name": "Odeon",
      "address": {"@type": "PostalAddress", "streetAddress": "1 High Street"}
    }
  },
  "reservedTicket": {
    "@type": "Ticket", "ticketToken": "qrCode:BOOK-1", "ticketedSeat": {"@type": "Seat", "seatNumber": "B5, B6"}
  }
}
</script>
</head>
<body class="page" style="background-color: #ffffff">
<div role="main">
<h1>You are booked</h1>
<table class="facts"><tbody>
<tr><th scope="row">Seats</th><td>B5, B6</td></tr>
<tr><th scope="row">Booking code</th><td>BOOK-1</td></tr>
</tbody></table>
<img src="cid:qr" width="200" height="200" alt="BOOK-1, to be scanned">
MORE
<p>See it <a class="link" href="https://cinema.example/bookings">among your bookings</a>.</p>
</div>
</body>
</html>
""".replace(
    "MORE",
    "<p>Bring this mail, on your phone or on paper, and show the code at the entrance. The doors open half an "
    "hour before the film, and there is time to find your seats. If your plans "
    "change, cancel in the place where you booked.</p>\n" * 8,
)
"""A few words and a picture are spam, to SpamAssassin; up to 2800 bytes of html are few."""

TEXT = """\
You are booked

Seats: B5, B6
Booking code: BOOK-1

See it among your bookings:
https://cinema.example/bookings
"""

CALENDAR = """\
BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//Cinema//EN
METHOD:PUBLISH
BEGIN:VEVENT
UID:1@cinema.example
DTSTAMP:20261124T103000Z
DTSTART:20261216T010000Z
DTEND:20261216T030000Z
SUMMARY:Inception
END:VEVENT
END:VCALENDAR
"""


@dataclass(frozen=True)
class Parts:
    html: str = HTML
    text: str = TEXT
    calendar: str = CALENDAR
    code: str = "BOOK-1"

    def mail(self, name: str) -> Mail:
        message = EmailMessage(policy=SMTP)
        message["From"] = "Cinema <tickets@cinema.example>"
        message["To"] = "Jane Smith <jane@example.com>"
        message["Subject"] = "You're booked"
        message["Date"] = "Tue, 24 Nov 2026 10:30:00 +0000"
        message["Message-ID"] = "<4f1c2b7e9d3a4c58@cinema.example>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(self.text)
        message.add_alternative(self.html, subtype="html")
        html = message.get_payload(1)
        assert isinstance(html, EmailMessage)
        html.add_related(_picture(self.code), "image", "png", cid="<qr>", disposition="inline")
        calendar = self.calendar.replace("\n", "\r\n").encode()
        message.add_attachment(calendar, "text", "calendar", filename="ticket.ics", params={"method": "PUBLISH"})
        return Mail(name=name, raw=message.as_bytes())


def _picture(code: str) -> bytes:
    picture = Image.new("L", (100, 100), 255)
    if code:
        picture = Image.fromarray(zxingcpp.create_barcode(code, zxingcpp.BarcodeFormat.QRCode).to_image(scale=4))
    file = io.BytesIO()
    picture.save(file, "png")
    return file.getvalue()


@dataclass(frozen=True)
class Bad:
    checker: str
    rule: str
    part: str
    """Which part of the good mail is to be changed: a field of Parts, or `raw` for the message as a whole."""
    old: str
    new: str

    def mail(self) -> Mail:
        name = f"{self.checker}.{self.rule}"
        if self.part == "raw":
            mail = GOOD.mail(name)
            old, new = self.old.encode("latin-1"), self.new.encode("latin-1")
            assert old in mail.raw, name
            return replace(mail, raw=mail.raw.replace(old, new, 1))
        before = getattr(GOOD, self.part)
        assert self.old in before, name
        return replace(GOOD, **{self.part: before.replace(self.old, self.new)}).mail(name)


GOOD = Parts()

BAD = [
    Bad("html-validate", "element-required-attributes", "html", ' lang="en"', ""),
    Bad("caniemail", "display:grid", "html", "<p>", '<p style="display:grid">'),
    Bad("doiuse", "box-shadow", "html", "<p>", '<p style="box-shadow:0 0 1px #000000">'),
    Bad("axe", "color-contrast", "html", "<p>", '<p style="color:#eeeeee">'),
    Bad("scroll", "600px", "html", "<p>", '<p style="width:700px">'),
    Bad("print", "sheets", "html", "<p>", "<p><br><br><br><br><br>"),
    Bad(
        "spamassassin",
        "GTUBE",
        "text",
        "You are",
        "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X are",
    ),
    Bad(
        "itinerary", "streetAddress", "html", '{"@type": "PostalAddress", "streetAddress": "1 High Street"}', '"Odeon"'
    ),
    Bad("itinerary", "ticketToken", "html", '"ticketToken": "qrCode:BOOK-1", ', ""),
    Bad("message", "header", "raw", "To: ", "To: joe@example.com\r\nTo: "),
    Bad("message", "defect", "raw", "<jane@", "<jane@ @"),
    Bad("message", "crlf", "raw", "MIME-Version: 1.0\r\n", "MIME-Version: 1.0\n"),
    Bad("message", "line", "raw", "To: ", f"X-Long: {'x' * 999}\r\nTo: "),
    Bad("message", "subject", "raw", "Subject: ", f"Subject: {'long ' * 20}"),
    Bad("message", "html-size", "html", "<p>", f"<p>{'long ' * 8000}"),
    Bad("message", "message-size", "text", "You are", f"{'long ' * 20000}"),
    Bad("message", "order", "raw", "multipart/alternative", "multipart/mixed"),
    Bad("message", "charset", "raw", "You are", "You\xff are"),
    Bad("head", "doctype", "html", "<!DOCTYPE html>\n", ""),
    Bad("head", "lang", "html", ' dir="ltr"', ""),
    Bad("head", "title", "html", "<title>You're booked", "<title>Mail"),
    Bad("head", "meta", "html", '<meta name="color-scheme" content="light dark">\n', ""),
    Bad("facts", "fact", "text", "Seats: B5, B6", "Seats: B5"),
    Bad("facts", "label", "text", "Seats: B5", "B5"),
    Bad("facts", "empty", "html", "<td>BOOK-1</td>", "<td></td>"),
    Bad("facts", "link", "text", "https://cinema.example/bookings", ""),
    Bad("images", "size", "html", ' height="200"', ""),
    Bad("images", "alt", "html", ' alt="BOOK-1, to be scanned"', ""),
    Bad("images", "cid", "html", "cid:qr", "cid:other"),
    Bad("images", "source", "html", "cid:qr", "http://cinema.example/qr.png"),
    Bad("links", "scheme", "html", "https://cinema", "http://cinema"),
    Bad("json-ld", "script", "html", ' type="application/ld+json"', ""),
    Bad("json-ld", "json", "html", '"underName":', '"underName"'),
    Bad("json-ld", "context", "html", '"@context": "http://schema.org"', '"@context": "schema"'),
    Bad("json-ld", "property", "html", '"address"', '"where"'),
    Bad("json-ld", "start", "html", "20:00:00-05:00", "20:00:00"),
    Bad("json-ld", "status", "html", "ReservationConfirmed", "Confirmed"),
    Bad("calendar", "lines", "calendar", "SUMMARY:", f"SUMMARY:{'long ' * 20}"),
    Bad("calendar", "parse", "calendar", "END:VCALENDAR\n", ""),
    Bad("calendar", "method", "calendar", "METHOD:PUBLISH", "METHOD:REQUEST"),
    Bad("calendar", "property", "calendar", "UID:1@cinema.example\n", ""),
    Bad("calendar", "event", "calendar", "VEVENT", "VTODO"),
    Bad("calendar", "status", "calendar", "SUMMARY:", "STATUS:CANCELLED\nSUMMARY:"),
    Bad("calendar", "sequence", "calendar", "SUMMARY:", "STATUS:CANCELLED\nSUMMARY:"),
    Bad("qr", "code", "code", "BOOK-1", "BOOK-2"),
    Bad("qr", "unreadable", "code", "BOOK-1", ""),
]
