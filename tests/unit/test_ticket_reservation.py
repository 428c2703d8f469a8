"""The JSON-LD reservation: complete or absent, and unable to end its script element."""

import json
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings, strategies as st

from notification_service.channels.email.ticket.reservation import json_ld
from tests.fuzzing import examples

START = datetime(2026, 12, 15, 20, 0, tzinfo=ZoneInfo("Europe/Madrid"))
NAME, ADDRESS = "Grand", "Calle Mayor 1, Madrid"
KNOWN: dict[str, Any] = {
    "number": "B1",
    "cancelled": False,
    "person": "Ana",
    "title": "Inception",
    "start": START,
    "place_name": NAME,
    "place_address": ADDRESS,
}
TEXTS = ("number", "person", "title", "place_name", "place_address", "url")
PAYLOADS = (
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "]]>",
    "--></script>",
    "&lt;/script&gt;",
    "\u2028alert(1)\u2029",
    '"},"x":{"',
    "\\u003c/script\\u003e",
    "</SCRIPT\t>",
)


class Scripts(HTMLParser):
    """The scripts of a page, and every tag in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.script = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the base's own
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        if self.tags[-1] == "script":
            self.script += data


def read(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    written = json_ld(**KNOWN | changes)
    assert written is not None
    page = Scripts(f'<html><script type="application/ld+json">{written}</script><p></p></html>')
    assert page.tags == ["html", "script", "p"]
    assert page.script == written
    assert not set(written) & {"<", ">", "&", "\u2028", "\u2029"}
    found: dict[str, Any] = json.loads(page.script)
    return found


def test_everything_that_google_requires_is_there() -> None:
    assert read() == {
        "@context": "http://schema.org",
        "@type": "EventReservation",
        "reservationNumber": "B1",
        "reservationStatus": "http://schema.org/ReservationConfirmed",
        "underName": {"@type": "Person", "name": "Ana"},
        "reservationFor": {
            "@type": "Event",
            "name": "Inception",
            "startDate": "2026-12-15T20:00:00+01:00",
            "location": {
                "@type": "Place",
                "name": "Grand",
                "address": {"@type": "PostalAddress", "streetAddress": "Calle Mayor 1, Madrid"},
            },
        },
    }


def test_a_cancelled_booking_says_so() -> None:
    assert read(cancelled=True) == read() | {"reservationStatus": "http://schema.org/ReservationCancelled"}


def test_a_start_has_its_offset_and_no_fractions() -> None:
    start = datetime(2026, 7, 1, 20, 0, 0, 123456, tzinfo=UTC)
    assert read(start=start)["reservationFor"]["startDate"] == "2026-07-01T20:00:00+00:00"


@pytest.mark.parametrize("unknown", [name for name in KNOWN if name != "cancelled"])
@pytest.mark.parametrize("cancelled", [False, True])
def test_half_of_it_is_nothing(unknown: str, *, cancelled: bool) -> None:
    assert json_ld(**KNOWN | {unknown: None, "cancelled": cancelled}) is None


@pytest.mark.parametrize("name", ["number", "person", "title", "place_name", "place_address"])
@pytest.mark.parametrize("blank", ["", " ", "\n\t"])
def test_blank_is_unknown(name: str, blank: str) -> None:
    assert json_ld(**KNOWN | {name: blank}) is None


def test_a_start_without_an_offset_is_unknown() -> None:
    assert json_ld(**KNOWN | {"start": START.replace(tzinfo=None)}) is None


def test_the_ticket_has_its_seats_and_the_code_to_scan() -> None:
    assert read(seats=("A1", "A2"), code="TKT-1")["reservedTicket"] == {
        "@type": "Ticket",
        "ticketedSeat": {"@type": "Seat", "seatNumber": "A1, A2"},
        "ticketToken": "qrCode:TKT-1",
    }
    assert read(code="TKT-1")["reservedTicket"] == {"@type": "Ticket", "ticketToken": "qrCode:TKT-1"}


@pytest.mark.parametrize(("count", "named"), [(0, 0), (30, 30), (31, 0), (10_000, 0)])
def test_all_seats_are_named_or_none(count: int, named: int) -> None:
    ticket = read(seats=("A1",) * count, code="TKT-1")["reservedTicket"]
    assert ticket.get("ticketedSeat", {}).get("seatNumber", "").count("A1") == named


def test_an_end_is_told_where_it_is_known() -> None:
    assert "endDate" not in read()["reservationFor"]
    assert read(minutes=150)["reservationFor"]["endDate"] == "2026-12-15T22:30:00+01:00"
    night = datetime(2026, 10, 25, 1, 30, tzinfo=START.tzinfo)
    assert read(start=night, minutes=120)["reservationFor"]["endDate"] == "2026-10-25T02:30:00+01:00"


def test_a_link_leads_to_the_booking() -> None:
    assert read(url="https://cine.example/b/1?x=1&y=2")["url"] == "https://cine.example/b/1?x=1&y=2"


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("name", TEXTS)
def test_a_payload_stays_text(name: str, payload: str) -> None:
    found = read(**{name: payload, "seats": (payload,)})
    assert _strings(found).count(payload) == 2
    assert set(found) == {*read(), "reservedTicket"} | ({"url"} if name == "url" else set())


@settings(max_examples=examples(200), deadline=None)
@given(st.text(min_size=1).filter(str.strip))
@example("half \ud83c")
def test_any_text_is_read_as_it_was_written(text: str) -> None:
    found = read(number=text, person=text, title=text, place_name=text, place_address=text, seats=(text,), url=text)
    assert _strings(found).count(text) >= 7


def _strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for one in value.values() for text in _strings(one)]
    if isinstance(value, list):
        return [text for one in value for text in _strings(one)]
    return [str(value)]
