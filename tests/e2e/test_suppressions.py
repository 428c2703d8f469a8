"""A mailbox that is gone is not written to again, until a person lifts that; `erase` does not forget it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.samples import fresh
from tests.stack.place import Place, until
from tests.stack.publisher import event
from tests.stack.smtp_rules import Rule

JANE = "jane.gone@guests.example"
ON = {"SUPPRESSION": "true"}


def cli(place: Place, *arguments: str, code: int = 0) -> str:
    ended = place.command(*arguments, **ON)
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def test_a_hard_bounce_stops_the_next_mail_until_a_person_lifts_it(place: Place) -> None:
    first, second, third = (fresh("booking.confirmed", user_email=JANE) for _ in range(3))
    place.smtp.script([Rule(at="rcpt", match="jane.gone", reply=f"550 5.1.1 <{JANE}>: no such user")])
    with place.service(**ON) as service:
        place.publish(event(first))
        until(lambda: place.outcomes().get(first["event_id"]) == "bounced")
        place.smtp.clear()
        place.publish(event(second))
        until(lambda: place.outcomes().get(second["event_id"]) == "skipped")
        record = place.record(second["event_id"])
        assert record is not None
        assert record["reason"] == "suppressed"
        assert "the address does not exist: sending said 550 5.1.1" in record["detail"]

        erased = cli(place, "erase", "--address", JANE, "--dry-run")
        assert "j***@guests.example stays on the list of suppressions" in erased
        (listed,) = json.loads(cli(place, "suppressions", "list", "--json"))["suppressions"]
        bounced = place.record(first["event_id"])
        assert bounced is not None
        assert (listed["cause"], listed["latest"]["notification_id"]) == ("gone", bounced["_id"])
        table = cli(place, "suppressions", "list")
        assert "gone\t550 5.1.1\tsending\tuntil 2" in table
        assert "guests.example" not in table
        assert listed["digest"] in cli(place, "suppressions", "show", "--digest", listed["digest"][:8])

        lifting = ("suppressions", "lift", "--address", JANE.upper())
        assert "1 lifted by jo" in cli(place, *lifting, "--by", "jo", "--reason", "she called", "--yes")
        assert "lifted by jo" in (shown := cli(place, "suppressions", "show", "--address", JANE))
        assert "by jo: she called" in shown
        place.publish(event(third))
        until(lambda: place.outcomes().get(third["event_id"]) == "sent")

        waiting = cli(place, "bounced", "list", "--code", "suppressed")
        assert "1 bounced" in waiting
        cli(place, "bounced", "replay", "--notification", record["_id"], "--yes")
        until(lambda: place.outcomes().get(second["event_id"]) == "sent")
    assert [line["cause"] for line in service.said("address.suppressed")] == ["gone"]
    assert [mail.rcpt_to[0] for mail in place.mails()] == [JANE, JANE]


def test_a_person_adds_an_address_and_brings_in_a_providers_list(place: Place) -> None:
    assert "is on the list, by jo" in cli(place, "suppressions", "add", "--address", JANE, "--by", "jo")
    file = Path(place.folder) / "bounces.csv"
    now = datetime.now(UTC)
    file.write_text(f"email,status,created\ntom@x.example,5.1.1,{now:%Y-%m-%dT%H:%M:%SZ}\nno address,5.1.1,\n")
    arguments = ("suppressions", "import", str(file), "--cause", "gone", "--from", "sendgrid")
    told = cli(place, *arguments, code=1)
    assert "bounces.csv, line 3: no address" in told
    assert "1 added, 0 known already, 1 left out" in told
    file.write_text("name\nJane\n")
    assert "names no column of addresses" in cli(place, *arguments, code=78)
    listed = json.loads(cli(place, "suppressions", "list", "--json"))["suppressions"]
    assert {(each["cause"], each["latest"]["source"]) for each in listed} == {("by_hand", "jo"), ("gone", "sendgrid")}
    cli(place, "suppressions", "show", "--digest", "0123", code=78)


def test_clicks_are_told_by_mail_and_link_with_machines_apart(place: Place) -> None:
    sent = datetime.now(UTC) - timedelta(hours=2)
    record = "a" * 32
    place.database["notification_logs"].insert_one(
        {
            "_id": record,
            "event_id": "e",
            "notification_type": "email",
            "recipient": "",
            "status": "sent",
            "created_at": sent,
            "sent_at": sent,
        }
    )
    clicks = [(3, "retry", ""), (60, "retry", ""), (61, "support", ""), (900, "retry", ""), (990, "retry", "robot")]
    place.database["notification_signals"].insert_many(
        {
            "_id": str(seconds),
            "kind": "clicked",
            "at": sent + timedelta(seconds=seconds),
            "received_at": datetime.now(UTC),
            "notification_id": record,
            "template": "payment_failed",
            "extra": {"link": link, "class": "person", **({"why": why} if why else {})},
        }
        for seconds, link, why in clicks
    )
    links = json.loads(cli(place, "clicks", "--json"))["links"]
    assert {each["link"]: (each["people"], each["machines"], each["mails"]) for each in links} == {
        "retry": (1, 3, 1),
        "support": (0, 1, 0),
    }
    assert {name for each in links for name in each["why"]} == {"too_soon", "two_links", "robot"}
    told = cli(place, "clicks", "--since", "2h")
    assert "payment_failed\tretry\t1" in told
    assert "TRACKING=off" in told
