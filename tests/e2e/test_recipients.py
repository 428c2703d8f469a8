"""Who gets a mail, and who is forgotten: people as databases hold them, addresses as producers write them."""

import json

import pytest
from bson import ObjectId

from tests.e2e.test_schemas import check
from tests.samples import fresh
from tests.stack.place import RECORDS, Place, until
from tests.stack.publisher import event

HEX = "507f1f77bcf86cd799439011"


def cli(place: Place, *arguments: str) -> str:
    ran = place.command(*arguments)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_a_user_is_found_by_the_text_of_an_object_id_and_greeted_by_a_name_only(place: Place) -> None:
    spam = "You won $500! Claim at https://evil.example/win"
    place.database["users"].insert_many(
        [
            {"_id": ObjectId(HEX), "email": "hex@guests.example", "first_name": "Jane"},
            {"_id": 42, "email": "number@guests.example", "first_name": "null"},
            {"_id": "seller", "email": "seller@guests.example", "first_name": spam},
        ]
    )
    place.database["bookings"].insert_one({"_id": "BOOK-of-hex", "user_id": ObjectId(HEX)})
    events = [
        fresh("payment.success", user_id=HEX),
        fresh("payment.success", user_id="42"),
        fresh("payment.success", user_id="seller"),
        fresh("payment.refunded", booking_id="BOOK-of-hex"),
    ]
    with place.service():
        place.publish(*map(event, events))
        until(lambda: list(place.outcomes().values()) == ["sent"] * 4)
    texts: dict[str, list[str]] = {}
    for mail in place.mails():
        body = mail.message().get_body(("plain",))
        assert body is not None
        texts.setdefault(mail.rcpt_to[0], []).append(body.get_content())
    assert len(texts["hex@guests.example"]) == 2
    assert all("Hello Jane," in text for text in texts["hex@guests.example"])
    for address in ("number@guests.example", "seller@guests.example"):
        assert "Hello" not in texts[address][0]
        assert "evil.example" not in texts[address][0]


@pytest.mark.parametrize(
    ("written", "wire"),
    [
        ("Jane <jane@example.com>", "jane@example.com"),
        ('"Smith, Jane" <jane@example.com>', "jane@example.com"),
        ("mailto:jane@example.com?subject=x", "jane@example.com"),
        ("jane..doe@docomo.example", '"jane..doe"@docomo.example'),
        ("jane.@docomo.example", '"jane."@docomo.example'),
    ],
)
def test_one_mailbox_is_sent_to_however_it_is_written(place: Place, written: str, wire: str) -> None:
    data = fresh("booking.confirmed", user_email=written)
    with place.service() as service:
        place.publish(event(data))
        until(lambda: place.outcomes() == {data["event_id"]: "sent"})
    (mail,) = place.mails()
    assert mail.rcpt_to == [wire]
    assert mail.message()["To"].defects == ()
    record = place.record(data["event_id"])
    assert record is not None
    assert record["recipient"] == wire.replace('"', "")
    check(cli(place, "schema", "record"), place.records())
    assert wire.rpartition("@")[0].strip('"') not in service.log.read_text("utf-8")
    assert json.loads(cli(place, "find", "--address", wire, "--json"))["records"][0]["_id"] == record["_id"]


@pytest.mark.parametrize("written", ["jane@example.com, eve@example.com", "Friends: jane@example.com;", "null@"])
def test_several_addresses_are_none(place: Place, written: str) -> None:
    data = fresh("booking.confirmed", user_email=written, user_id="", booking_id="BOOK-nobody")
    with place.service():
        place.publish(event(data))
        until(lambda: place.outcomes() == {data["event_id"]: "rejected"})
    assert place.mails() == []


@pytest.mark.parametrize("older", [False, True], ids=["with key", "older"])
def test_a_person_is_found_and_erased_in_any_case_of_letters(place: Place, *, older: bool) -> None:
    data = fresh("booking.confirmed", user_email="Jane.Smith@Guests.example")
    with place.service():
        place.publish(event(data))
        until(lambda: place.outcomes() == {data["event_id"]: "sent"})
    if older:
        as_written = {"$set": {"recipient": "Jane.Smith@Guests.example"}, "$unset": {"recipient_key": ""}}
        place.database[RECORDS].update_many({}, as_written)
    for asked in ("jane.smith@guests.example", "JANE.SMITH@GUESTS.EXAMPLE"):
        assert len(json.loads(cli(place, "find", asked, "--json"))["records"]) == 1
    erased = json.loads(cli(place, "erase", "--address", "jane.smith@guests.example", "--yes", "--json"))
    assert (erased["records"], erased["changed"]) == (1, 1)
    assert "smith" not in json.dumps(place.records(), default=str).casefold()
    check(cli(place, "schema", "record"), place.records())


@pytest.mark.parametrize(
    ("fields", "said", "unsaid"),
    [
        (
            {"failure_reason": "Bank transfer failed", "payment_method": "bank_transfer"},
            "Your payment didn't go through",
            ["Bank transfer failed", "enough money", "enough funds", "Nothing was charged"],
        ),
        (
            {"error_code": "payment_collect_request_expired", "payment_method": "upi", "failure_reason": ""},
            "The time for this payment ran out",
            ["card", "Nothing was charged"],
        ),
        ({"failure_reason": "Concurrency error"}, "a technical problem", ["currency", "Nothing was charged"]),
        ({"failure_reason": "Rate limit exceeded"}, "a technical problem", ["a limit", "Nothing was charged"]),
    ],
)
def test_a_failed_payment_says_no_cause_that_nobody_named(
    place: Place, fields: dict[str, str], said: str, unsaid: list[str]
) -> None:
    with place.service():
        answer = {"gateway_status": "DECLINED"}
        place.publish(event(fresh("payment.failed", user_email="j@x.example", gateway_response=answer, **fields)))
        until(lambda: list(place.outcomes().values()) == ["sent"])
    body = place.mails()[0].message().get_body(("plain",))
    assert body is not None
    text = " ".join(body.get_content().split())
    assert said in text
    assert not [word for word in unsaid if word in text]
