"""A bounced mail is sent again by a replay, or by a later event with the right address."""

import json

import pytest

from tests.samples import fresh
from tests.stack.place import Place, until
from tests.stack.publisher import event
from tests.stack.smtp_rules import Rule


def bounced(place: Place, *arguments: str) -> str:
    ended = place.command("bounced", *arguments, COLUMNS="250")
    return ended.stdout + ended.stderr


def test_what_bounced_is_listed_chosen_and_replayed_once(place: Place) -> None:
    one, two = (fresh("booking.confirmed", user_email=f"jane@{name}.example") for name in ("one", "two"))
    place.smtp.script([Rule(at="dot", match="@", reply="554 5.6.0 the content of 77abc is odd")])
    with place.service():
        place.publish(event(one), event(two))
        until(lambda: place.outcomes() == {one["event_id"]: "bounced", two["event_id"]: "bounced"})
        listed = json.loads(bounced(place, "list", "--json", "--code", "5.6.0", "--since", "2h"))["notifications"]
        assert {each["event_id"] for each in listed} == {one["event_id"], two["event_id"]}
        assert {each["recipient"] for each in listed} == {"j***@one.example", "j***@two.example"}
        (words,) = {each["fingerprint"] for each in listed}
        assert one["booking_id"] not in bounced(place, "list", "--domain", "two.example", "--json")
        assert "choose which" in bounced(place, "replay", "--yes")
        assert "2 would be published again" in bounced(place, "replay", "--dry-run", "--fingerprint", words)
        assert "add --yes" in bounced(place, "replay", "--fingerprint", words)
        assert "0 published again" in bounced(place, "replay", "--yes", "--code", "5.6.1")
        place.smtp.clear()
        assert "1 published again" in bounced(place, "replay", "--yes", "--domain", "one.example")
        until(lambda: place.outcomes() == {one["event_id"]: "sent", two["event_id"]: "bounced"})
        told = json.loads(bounced(place, "replay", "--yes", "--json", "--fingerprint", words))
        assert [each["event_id"] for each in told["notifications"]] == [two["event_id"]]
        until(lambda: set(place.outcomes().values()) == {"sent"})
    assert sorted(mail.rcpt_to[0] for mail in place.mails()) == ["jane@one.example", "jane@two.example"]
    record = place.record(one["event_id"])
    assert record is not None
    assert "fingerprint" not in record
    assert [(past["outcome"], past["fingerprint"]) for past in record["history"]] == [("bounced", words)]
    assert not record.get("possible_duplicate")


@pytest.mark.parametrize("recipients", ["full", "masked"])
def test_a_later_event_with_the_right_address_is_sent(place: Place, recipients: str) -> None:
    first = fresh("booking.confirmed", user_email="jane@gmial.example")
    same = {**first, "event_id": "evt-same", "user_email": "Jane@GMIAL.example"}
    right = {**first, "event_id": "evt-right", "user_email": "jane@gmail.example"}
    place.smtp.script([Rule(at="rcpt", match="gmial", reply="550 5.1.1 <jane@gmial.example>: no such user")])
    with place.service(RECORD_RECIPIENT=recipients):
        place.publish(event(first))
        until(lambda: place.outcomes() == {first["event_id"]: "bounced"})
        place.publish(event(same))
        until(lambda: place.outcomes().get("evt-same") == "bounced")
        place.publish(event(right))
        until(lambda: place.outcomes().get("evt-right") == "sent")
        place.publish(event({**right, "event_id": "evt-late", "user_email": "third@gmail.example"}))
        until(lambda: place.outcomes().get("evt-late") == "sent")
    assert [mail.rcpt_to for mail in place.mails()] == [["jane@gmail.example"]]
    assert len(place.records()) == 1
