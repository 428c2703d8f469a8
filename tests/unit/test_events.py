"""The contract as it really is: fields are blank, null, zero, of the wrong kind, and nothing else ever gets through."""

import json
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from notification_service.contract.events import EVENT_TYPES, Event, UnreadableEventError, parse, read, read_object
from notification_service.contract.outcomes import RejectReason
from tests.fuzzing import examples
from tests.samples import sample

LARGEST = 64 * 1024
BLANKS = ("", "  ", None, "null", "None", "n/a", "N/A", "undefined", "Unknown")


def event(event_type: str = "booking.confirmed", /, **fields: Any) -> Any:  # noqa: ANN401 - any of the six models
    parsed = parse(fields, event_type)
    assert parsed is not None
    return parsed


def problem_of(body: bytes) -> UnreadableEventError:
    with pytest.raises(UnreadableEventError) as caught:
        read_object(body, max_bytes=LARGEST)
    return caught.value


def remarks_on(event_type: str, /, **fields: Any) -> list[str]:  # noqa: ANN401 - whatever JSON holds
    reading = read(fields, event_type)
    assert reading is not None
    return [str(remark) for remark in reading.remarks]


# ── what the producers send ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("spelling", ["payment.refund", "payment.refunded"])
def test_both_refund_spellings_are_the_same_kind_of_event(spelling: str) -> None:
    assert type(event(spelling)) is type(event("payment.refunded"))


@pytest.mark.parametrize("blank", BLANKS)
def test_a_blank_text_is_not_known(blank: str | None) -> None:
    assert event(movie_title=blank, booking_id=blank, user_email=blank).model_dump(exclude={"event_type"}) == (
        event().model_dump(exclude={"event_type"})
    )


@pytest.mark.parametrize("words", ["Unknown Movie", "unknown time", "UNKNOWN CINEMA", "Unknown Theatre"])
def test_the_words_for_not_known_are_not_known(words: str) -> None:
    assert event(movie_title=words).movie_title is None


@pytest.mark.parametrize("title", ["The Unknown", "Unknown Pleasures", "None Shall Escape", "Null Island"])
def test_a_title_that_only_begins_like_one_of_them_is_a_title(title: str) -> None:
    assert event(movie_title=title).movie_title == title


@pytest.mark.parametrize("blank", ["", " ", None])
@pytest.mark.parametrize(
    ("event_type", "field"),
    [
        ("booking.cancelled", "refund_eligible"),
        ("booking.cancelled", "refund_amount"),
        ("booking.cancelled", "cancelled_at"),
        ("payment.failed", "retry_possible"),
        ("payment.failed", "failure_reason"),
        ("payment.failed", "gateway_response"),
        ("payment.success", "gateway_response"),
        ("booking.confirmed", "seats"),
        ("booking.confirmed", "timestamp"),
    ],
)
def test_a_blank_field_of_any_kind_costs_no_mail(event_type: str, field: str, blank: str | None) -> None:
    assert not getattr(event(event_type, **{field: blank}), field)


def test_the_blank_refund_of_the_booking_side_is_read() -> None:
    blank = {"user_id": "", "movie_title": "", "showtime": "", "seats": [], "total_amount": 0.0, "cinema_name": None}
    refund = event("booking.refunded", booking_id="B1", user_email="a@b.example", transaction_id="T", **blank)
    assert (refund.user_id, refund.movie_title, refund.seats, refund.total_amount) == (None, None, (), None)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ({"name": "Roxy", "city": 7}, "Roxy"),
        ({"id": 5, "title": "Roxy"}, "Roxy"),
        ({"name": "Roxy", "description": "A hall"}, None),
        ({"en": "Roxy"}, None),
        ({"name": ""}, None),
        ({"name": "null"}, None),
    ],
)
def test_an_object_with_one_name_is_called_so(said: object, shown: str | None) -> None:
    assert event(cinema_name=said).cinema_name == shown


@pytest.mark.parametrize(
    "said",
    [
        *(["jane@guests.example"], [["jane@guests.example"]], [{"address": "jane@guests.example", "type": "home"}]),
        *({"email": "jane@guests.example"}, {"name": "Jane", "address": "jane@guests.example"}),
        {"value": "jane@guests.example", "verified": True},
    ],
)
def test_an_address_in_a_list_of_one_or_in_an_object_is_that_address(said: object) -> None:
    assert event(user_email=said).user_email == "jane@guests.example"


@pytest.mark.parametrize(
    "said", [["a@x.example", "b@x.example"], {"home": "a@x.example"}, [], {}, [None], True, float("inf"), 10**400]
)
def test_where_one_address_is_not_certain_there_is_none(said: object) -> None:
    assert event(user_email=said).user_email is None


@pytest.mark.parametrize(
    "said",
    [
        {"id": "Europe/Paris"},
        {"zoneId": "Europe/Paris"},
        {"timezone": "Europe/Paris", "timezone_type": 3},
    ],
)
def test_a_zone_in_an_object_is_that_zone(said: object) -> None:
    assert event(time_zone=said).time_zone == "Europe/Paris"


@pytest.mark.parametrize("text", ["nil", "NaN", "(null)", "not available", "Unknown Cinema", "undefined undefined"])
def test_what_is_not_known_in_the_directory_is_not_known_in_an_event(text: str) -> None:
    assert event(movie_title=text, booking_id=text).movie_title is None


def test_an_amount_as_mongodb_exports_it_is_that_amount() -> None:
    said = {"value": {"$numberDecimal": "30.00"}, "currency": "EUR"}
    assert event(total_amount=said).total_amount == event(total_amount="30.00 EUR").total_amount


def test_blank_seats_are_left_out() -> None:
    assert event(seats=["B5", "", None, " ", 7, "n/a"]).seats == ("B5", "7")


@pytest.mark.parametrize("sent", [0, 0.0, "0.00", -0.0, "1e-999999", 0.001, "", None, "0,00 EUR", {"amount": 0}])
def test_an_amount_of_nothing_is_not_known(sent: object) -> None:
    assert event(total_amount=sent).total_amount is None
    assert remarks_on("booking.confirmed", total_amount=sent) == []


@pytest.mark.parametrize(
    "sent",
    ["free", "1e999999999", "NaN", "-Infinity", True, [], {}, -5, "-0.01", 10**12, {"amount": 3000, "minor": 2}]
    + [{"value": 3000, "exponent": exponent} for exponent in (-1, 5, True, "2", None)]
    + [{"value": 30.5, "exponent": 2}, {"units": -1}, {"units": 30.5}, {"nanos": 1}, {"units": 1, "nanos": True}],
)
def test_what_is_no_amount_is_left_out_with_a_remark(sent: object) -> None:
    assert event(total_amount=sent).total_amount is None
    assert remarks_on("booking.confirmed", total_amount=sent) == ["total_amount is left out: it cannot be read"]


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("2026-11-24T10:30:00", datetime(2026, 11, 24, 10, 30, tzinfo=UTC)),
        ("2026-11-24T10:30:00Z", datetime(2026, 11, 24, 10, 30, tzinfo=UTC)),
        ("2026-11-24T10:30:00.123456+00:00", datetime(2026, 11, 24, 10, 30, 0, 123456, tzinfo=UTC)),
        ("2026-11-24T10:30:00+05:30", datetime(2026, 11, 24, 10, 30, tzinfo=timezone(timedelta(hours=5.5)))),
        ("2026-11-24", datetime(2026, 11, 24, tzinfo=UTC)),
        ("yesterday", None),
        ("2026-02-30T10:00:00Z", None),
        ("0001-01-01T00:00:00Z", None),
        ("0026-11-24T10:30:00Z", None),
        ("1926-11-24 10:30", None),
        ("9999-12-31T23:59:59Z", None),
        ("2026-11-24T10:30:00-22:00", None),
        ("2026-11-24T23:30-03:00", datetime(2026, 11, 24, 23, 30, tzinfo=timezone(timedelta(hours=-3)))),
        (1797379200, datetime(2026, 12, 16, tzinfo=UTC)),
        (1797379200123, datetime(2026, 12, 16, 0, 0, 0, 123000, tzinfo=UTC)),
        ({"$date": "2026-11-24T10:30:00Z"}, datetime(2026, 11, 24, 10, 30, tzinfo=UTC)),
        (0, None),
        (7, None),
        ([], None),
    ],
)
def test_a_timestamp_is_read_or_not_known_and_never_a_fault(sent: object, read: datetime | None) -> None:
    assert event(timestamp=sent).timestamp == read


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        (42, "42"),
        (3.5, "3.5"),
        (12345.0, "12345"),
        (18446744073709551615, "18446744073709551615"),
        (10**40, "1" + "0" * 40),
        (-7, "-7"),
        (" B-1 ", "B-1"),
        ({"$oid": "507f1f77bcf86cd799439011"}, "507f1f77bcf86cd799439011"),
        ({"$numberLong": "18446744073709551615"}, "18446744073709551615"),
        ("R&amp;D", "R&amp;D"),
    ],
)
def test_an_id_is_its_exact_text(sent: object, named: str) -> None:
    for field in ("booking_id", "event_id", "user_id", "transaction_id", "user_email"):
        assert getattr(event(**{field: sent}), field) == named


@pytest.mark.parametrize(
    "seats",
    [
        ["java.util.ArrayList", ["B5", "B6"]],
        ["java.util.ImmutableCollections$ListN", [["java.lang.String", "B5"], "B6"]],
        {"$id": "1", "$values": ["B5", "B6"]},
        {"$type": "System.Collections.Generic.List`1[[System.String]]", "$values": ["B5", "B6"]},
    ],
)
def test_a_list_that_names_its_class_is_the_list(seats: object) -> None:
    """`java.util.ArrayList` was shown as a seat, and counted as a ticket."""
    read = event(seats=seats, total_amount=["java.math.BigDecimal", 30.5], booking_id=["java.lang.Long", 7])
    assert (read.seats, read.total_amount.said, read.booking_id) == (("B5", "B6"), "30.5", "7")


def test_the_types_of_avros_unions_are_no_part_of_the_values() -> None:
    read = event(
        booking_id={"string": "B1"},
        movie_title={"string": "Up"},
        seats={"array": [{"string": "B5"}]},
        total_amount={"double": 30.5},
        showtime={"long": 1797379200000},
    )
    assert (read.booking_id, read.movie_title, read.seats) == ("B1", "Up", ("B5",))
    assert (read.total_amount.said, read.showtime) == ("30.5", "1797379200000")


def test_a_booking_may_have_the_number_zero_and_a_payment_may_not() -> None:
    read = event(booking_id=0, user_id="0", transaction_id=0)
    assert (read.booking_id, read.user_id, read.transaction_id) == ("0", "0", None)


@pytest.mark.parametrize("sent", [True, [], ["B1"], {}, {"id": "B1"}, float("inf"), 10**400])
def test_an_id_of_an_odd_kind_is_not_known(sent: object) -> None:
    for field in ("booking_id", "user_id", "transaction_id"):
        assert getattr(event(**{field: sent}), field) is None
        assert remarks_on("booking.confirmed", **{field: sent}) == [f"{field} is left out: it cannot be read"]


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        ("Ocean&#8217;s Eleven &amp; Friends", "Ocean\u2019s Eleven & Friends"),
        ("Am&eacute;lie", "Amélie"),
        ("&#x41;", "A"),
        ("Tom &amp;amp; Jerry", "Tom &amp; Jerry"),
        ("&lt;b&gt;", "<b>"),
        ("Fast &notorious &copy", "Fast &notorious &copy"),
        ("R&B; Live", "R&B; Live"),
        ("&nbsp;", None),
        ("N&#47;A", None),
        (1917, "1917"),
        (300.0, "300"),
    ],
)
def test_an_entity_of_html_is_what_it_stands_for_once(sent: object, text: str | None) -> None:
    seen = event(movie_title=sent, cinema_name=sent, seats=[sent])
    assert (seen.movie_title, seen.cinema_name, seen.seats) == (text, text, (text,) if text else ())
    assert event("booking.cancelled", reason=sent).reason == text


def test_a_text_of_seats_is_freed_of_entities_once_before_it_is_parted() -> None:
    assert event(seats="A&amp;5; B&amp;6").seats == event(seats=["A&amp;5; B&amp;6"]).seats == ("A&5", "B&6")
    assert event(seats="[&quot;B5&quot;, &quot;B&amp;amp;6&quot;]").seats == ("B5", "B&amp;6")


@pytest.mark.parametrize(
    ("sent", "known"),
    [
        (True, True),
        ("yes", True),
        ("Y", True),
        ("TRUE", True),
        (1, True),
        ("1", True),
        ("no", False),
        ("false", False),
        (0, False),
        (0.0, False),
        ("", None),
        ("unknown", None),
    ],
)
def test_a_flag_is_read_as_people_write_it(sent: object, known: object) -> None:
    assert event("payment.failed", retry_possible=sent).retry_possible is known


def test_what_a_gateway_answered_may_be_an_object_in_a_text() -> None:
    paid = event("payment.success", gateway_response='{"card_last4": 4242}')
    assert paid.last_four == "4242"


def test_half_a_surrogate_pair_becomes_something_that_can_be_written() -> None:
    data = read_object(b'{"movie_title": "A \\ud800 film", "seats": ["\\udfff"]}', max_bytes=LARGEST)
    read = event(**data)
    assert (read.movie_title, read.seats) == ("A ? film", ("?",))


def test_further_fields_are_ignored() -> None:
    assert event(movie_title="X", fax="+1", anything={"a": [1]}) == event(movie_title="X")


def test_an_event_of_another_kind_is_none() -> None:
    assert parse({"booking_id": []}, "booking.pending_payment") is None


# ── what cannot be read, and in what words ───────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("event_type", "field", "value"),
    [
        ("booking.confirmed", "movie_title", ["canary-7f3a"]),
        ("booking.confirmed", "booking_id", {"canary-7f3a": "canary-7f3a"}),
        ("booking.confirmed", "user_email", True),
        ("booking.confirmed", "seats", [[["canary-7f3a"]]]),
        ("booking.confirmed", "total_amount", "canary"),
        ("booking.confirmed", "showtime", ["canary-7f3a"]),
        ("booking.confirmed", "timestamp", "canary-7f3a"),
        ("booking.confirmed", "currency", ["canary-7f3a"]),
        ("booking.confirmed", "time_zone", 330),
        ("booking.cancelled", "refund_eligible", "canary-7f3a"),
        ("payment.failed", "retry_possible", [True]),
        ("payment.success", "gateway_response", "canary-7f3a"),
        ("payment.success", "gateway_response", '{"a":' * 5000),
        ("payment.refunded", "refund_amount", {"canary-7f3a": 1}),
    ],
)
def test_a_remark_names_the_field_and_never_repeats_the_value(event_type: str, field: str, value: object) -> None:
    (remark,) = remarks_on(event_type, **{field: value})
    assert remark.startswith(f"{field} ")
    assert "canary" not in remark


def test_every_field_that_cannot_be_read_is_remarked() -> None:
    told = remarks_on("booking.confirmed", movie_title=[], seats=True)
    assert [remark.split()[0] for remark in told] == ["movie_title", "seats"]


def test_an_ordinary_event_is_remarked_on_by_nobody() -> None:
    for event_type in set(EVENT_TYPES) - {"payment.refund"}:
        assert remarks_on(event_type, **sample(event_type)) == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", RejectReason.NOT_JSON),
        (b"{", RejectReason.NOT_JSON),
        (b"{'a': 1}", RejectReason.NOT_JSON),
        (b'{"a": NaN}', RejectReason.NOT_JSON),
        (b'{"a": Infinity}', RejectReason.NOT_JSON),
        (b'{"a": -Infinity}', RejectReason.NOT_JSON),
        (b'{"a": "\xff"}', RejectReason.NOT_JSON),
        (b'{"a":' * 10_000, RejectReason.NOT_JSON),
        (b"[" * 60_000, RejectReason.NOT_JSON),
        (b"[]", RejectReason.SCHEMA),
        (b'"text"', RejectReason.SCHEMA),
        (b"null", RejectReason.SCHEMA),
        (b"7", RejectReason.SCHEMA),
        (b"{" + b" " * LARGEST + b"}", RejectReason.TOO_LARGE),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_no_event_is_rejected_with_its_reason(body: bytes, reason: RejectReason) -> None:
    assert problem_of(body).reason is reason


def test_a_body_of_the_largest_size_is_read() -> None:
    body = b'{"a": "' + b"x" * (LARGEST - 9) + b'"}'
    assert len(read_object(body, max_bytes=len(body))["a"]) == LARGEST - 9


def test_a_byte_order_mark_is_no_fault() -> None:
    assert read_object(b'\xef\xbb\xbf{"a": 1}', max_bytes=LARGEST) == {"a": 1}


# ── whatever comes ───────────────────────────────────────────────────────────────────────────────────

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)
FIELDS = sorted({name for kind in EVENT_TYPES for name in type(event(kind)).model_fields})
EVENTS = st.dictionaries(st.sampled_from(FIELDS) | st.text(), JSON, max_size=5)


def read_whole(body: bytes, event_type: str) -> Event | None:
    """Anything but `UnreadableEventError` fails the test."""
    try:
        return parse(read_object(body, max_bytes=LARGEST), event_type)
    except UnreadableEventError:
        return None


@given(st.binary(max_size=200), st.sampled_from(EVENT_TYPES))
def test_any_bytes_are_read_or_unreadable(body: bytes, event_type: str) -> None:
    read_whole(body, event_type)


@given(EVENTS, st.sampled_from(EVENT_TYPES))
@settings(max_examples=examples(150))
def test_any_object_is_an_event_or_unreadable_and_every_text_in_it_can_be_written(
    data: dict[str, Any], event_type: str
) -> None:
    read = read_whole(json.dumps(data).encode(), event_type)
    if read is not None:
        written = [read.booking_id, read.user_email, *getattr(read, "seats", ())]
        assert all(text.encode() and text == text.strip() for text in written if text is not None)


@pytest.mark.parametrize(
    "value",
    ["9" * 60_000, "1," * 30_000, "0." + "1" * 60_000, " " * 60_000, "unknown " * 8_000, "-" * 60_000],
    ids=lambda value: value[:6],
)
def test_no_text_takes_long_to_read(value: str) -> None:
    body = json.dumps(dict.fromkeys(("total_amount", "movie_title", "timestamp", "showtime"), value)).encode()
    started = time.perf_counter()
    read_whole(body, "booking.confirmed")
    assert time.perf_counter() - started < 0.5
