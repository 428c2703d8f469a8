"""The names of seats, in each way in which producers write them."""

import time

import pytest

from notification_service.contract import seating
from notification_service.contract.events import parse, read


@pytest.mark.parametrize(
    "sent",
    [
        ["B5", "B6"],
        "B5, B6",
        "B5,B6",
        "B5; B6",
        "B5\nB6",
        ["B5, B6"],
        ["B5", "B6", "B5", "", None, "n/a", ",", " ; "],
        '["B5", "B6"]',
        "['B5', 'B6']",
        "{B5,B6}",
        '[{"row": "B", "number": 5}, {"row": "B", "number": 6}]',
        [{"row": "B", "number": 5}, {"row": "B", "number": "6"}],
        [{"row": "B", "seat": "B5"}, {"rowLabel": "B", "seatNumber": 6}],
        [{"seat": "B5"}, {"seat_number": "B6", "price": 12.5}],
        [{"label": "B5"}, {"name": "B6"}],
        [{"id": "B5"}, {"code": "B6"}],
        [["B5", "B6"]],
        [["B5"], ["B6"]],
        [["B", 5], ["B", 6]],
        {"0": "B5", "1": "B6"},
        {"B": [5, 6]},
        {"B": "5,6"},
        {"B": ["B5", {"number": 6}]},
        {"row": "B", "seats": [5, 6]},
        [{"row": "B", "seats": ["5", "6"]}],
        {"seats": ["B5", "B6"]},
        {"count": 2, "seat_labels": ["B5", "B6"], "total": 25.5},
        [{"rowLetter": "B", "seatNumber": "5"}, {"seat_row": "B", "seatNo": 6}],
        [["B", "5"], ["B", "6"]],
        [{"seat": {"row": "B", "number": 5}}, {"seat": {"label": "B6"}}],
        [{"row": "B", "number": {"$numberInt": "5"}}, {"row": "B", "number": {"$numberLong": "6"}}],
        [{"row": "B", "label": "B5"}, {"row": "B", "label": "6"}],
        [{"label": "B5", "rowIndex": 1, "colIndex": 4}, {"label": "B6", "row_id": "507f1f77bcf86cd7"}],
        "B5|B6",
        "B5\u3001B6",
        "B5\uff0c B6",
        "B5\u060c B6",
    ],
)
def test_seats_are_read_if_they_are_certain(sent: object) -> None:
    reading = read({"seats": sent}, "booking.confirmed")
    assert reading is not None
    assert (reading.event.model_dump()["seats"], reading.remarks) == (("B5", "B6"), ())


@pytest.mark.parametrize(
    ("sent", "seats"),
    [
        (7, ("7",)),
        ([5, 6.0], ("5", "6")),
        ("Row B, Seat 5", ("Row B, Seat 5",)),
        ("Row 5, Seat 6", ("Row 5, Seat 6",)),
        ("Balcony 5, Balcony 6", ("Balcony 5", "Balcony 6")),
        ("General Admission", ("General Admission",)),
        ("B5 and B6", ("B5 and B6",)),
        ({"row": "B", "number": 5}, ("B5",)),
        ({"row": 5, "number": 6}, ("R5-S6",)),
        ([{"section": "Balcony", "row": "B", "number": 5}, {"block": "C", "number": 5}], ("Balcony B5", "C 5")),
        ("", ()),
        ([], ()),
        (None, ()),
        ("Unknown", ()),
        ([{"type": "GA", "quantity": 2}], ("GA \u00d7 2",)),
        ([{"name": "Adult", "qty": 2}, {"name": "Child", "qty": 1}], ("Adult \u00d7 2", "Child")),
        ({"section": "Balcony", "row": "C", "seats": [1, 2]}, ("Balcony C1", "Balcony C2")),
        ({"section": "Balcony", "seats": ["C1"]}, ("Balcony C1",)),
        ({"$numberInt": "5"}, ("5",)),
        ({"row": "Orchestra Left", "number": 5}, ("Orchestra Left 5",)),
        ({"row": 1, "label": "A5"}, ("A5",)),
        ({"row": "Stalls", "label": "A5"}, ("Stalls A5",)),
    ],
)
def test_what_is_one_seat_stays_one(sent: object, seats: tuple[str, ...]) -> None:
    reading = read({"seats": sent}, "booking.confirmed")
    assert reading is not None
    assert (reading.event.model_dump()["seats"], reading.remarks) == (seats, ())


@pytest.mark.parametrize(
    "sent", [True, {}, [True], [{"row": "B"}], [{"x": 1}], [[["B5"]]], [{"id": "507f1f77bcf86cd7"}], {"x": 1, "y": 2}]
)
def test_what_names_no_seat_is_left_out_with_a_remark(sent: object) -> None:
    reading = read({"seats": sent}, "booking.confirmed")
    assert reading is not None
    assert [remark.field for remark in reading.remarks] == ["seats"]
    assert parse({"seats": [sent, "B5"]}, "booking.confirmed").model_dump()["seats"] == ("B5",)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("seats", "count"),
    [
        (("B5", "B6"), 2),
        (("Row B, Seat 5",), 1),
        (("R5-S6", "R5-S7"), 2),
        (("GA", "GA"), 2),
        (("B5 and B6",), None),
        (("B5-B8",), None),
        (("5-8",), None),
        (("5-8", "5-9"), 2),
        (("B5 B6", "C1"), None),
        (("General Admission",), None),
        (("GA x 2",), None),
        (("GA \u00d7 2", "Child"), None),
        (("2 tickets",), None),
        (("2 adults", "1 child"), None),
        (("2",), None),
        (("2", "3"), 2),
        ((), None),
    ],
)
def test_tickets_are_counted_where_each_name_is_one_seat(seats: tuple[str, ...], count: int | None) -> None:
    assert seating.count(seats) == count


def test_two_places_without_a_number_are_two() -> None:
    event = parse({"seats": ["GA", "GA", "B5", "B5"]}, "booking.confirmed")
    assert event is not None
    assert event.model_dump()["seats"] == ("GA", "GA", "B5")


def test_many_seats_that_are_named_twice_cost_no_more_than_their_number() -> None:
    """Compared each with each, those of one body of 256 KiB would take a minute."""
    seats = [f"A{number}" for number in range(20_000)]
    began = time.process_time()
    assert seating.read([*seats, *seats], str)[0] == tuple(seats)
    assert time.process_time() - began < 5


@pytest.mark.parametrize("sent", [{"row": "A", "seats": [[]]}, {"A": [{"x": 1}]}, {"seats": [{"row": "B"}]}, {"A": {}}])
def test_an_object_without_the_name_of_a_seat_costs_no_more_than_itself(sent: object) -> None:
    reading = read({"seats": [sent, "B5"]}, "booking.confirmed")
    assert reading is not None
    assert (reading.event.model_dump()["seats"], len(reading.remarks)) == (("B5",), 1)
