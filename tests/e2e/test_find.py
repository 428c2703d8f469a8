"""`find` in a terminal: a table, one history, JSON, and no full address unless it is requested."""

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.samples import fresh
from tests.stack.local import LocalStack
from tests.stack.place import Document, Place, until
from tests.stack.publisher import event
from tests.stack.smtp_rules import Rule
from tests.stack.warm import Warm, warm_place

BOOKING = "BOOK-789012"


@pytest.fixture(scope="module")
def place(stack: LocalStack, warm: Warm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    stack.smtp.clear()
    place = warm_place(stack, tmp_path_factory.mktemp("find"), warm)
    stack.smtp.script([Rule(at="rcpt", match="nobody@", reply="550 5.1.1 no such user")])
    events = [
        fresh("booking.confirmed", booking_id=BOOKING, event_id="first"),
        fresh("booking.confirmed", booking_id=BOOKING + "x", event_id="second", user_email="nobody@example.com"),
        fresh("payment.success", booking_id=BOOKING, event_id="third", user_email="nobody@example.com"),
    ]
    with place.service():
        place.publish(*map(event, events))
        until(lambda: sorted(place.outcomes().values()) == ["bounced", "bounced", "sent"])
    stack.smtp.clear()
    yield place
    place.close()


def find(place: Place, *arguments: str) -> subprocess.CompletedProcess[str]:
    return place.command("find", *arguments)


def record(place: Place, event_id: str) -> Document:
    found = place.record(event_id)
    assert found is not None
    return found


def test_a_booking_shows_its_notifications_newest_first(place: Place) -> None:
    found = find(place, BOOKING)
    ids = [record(place, each)["_id"] for each in ("first", "third")]
    newest = sorted(ids, key=lambda each: str(record_by(place, each)["created_at"]), reverse=True)
    assert found.returncode == 0, found.stderr
    assert found.stdout.index(newest[0]) < found.stdout.index(newest[1])
    assert "bounced (550 5.1.1)" in found.stdout
    assert found.stdout.split("\n", 1)[0].split("\t")[1:3] == ["message", "by"]
    assert "j***@example.com" in found.stdout
    assert "jane.smith" not in found.stdout
    assert found.stdout.endswith("2 found\n")


def record_by(place: Place, notification_id: str) -> Document:
    return next(each for each in place.records() if each["_id"] == notification_id)


def test_a_single_result_is_shown_with_its_history(place: Place) -> None:
    history = find(place, "second").stdout
    assert record(place, "second")["_id"] in history
    assert "550 5.1.1 no such user" in history
    assert "bounced     550 5.1.1" in history
    assert "nobody@" not in history
    assert "nobody@example.com" in find(place, "second", "--addresses").stdout


def test_the_message_id_is_shown_in_full_and_finds_the_notification(place: Place) -> None:
    message_id = record(place, "first")["message_id"]
    assert message_id in find(place, "first").stdout
    assert json.loads(find(place, message_id, "--json").stdout)["records"][0]["message_id"] == message_id


def test_a_time_may_be_so_long_ago(place: Place) -> None:
    assert find(place, BOOKING, "--since", "1h").stdout.endswith("2 found\n")
    none = find(place, BOOKING, "--until", "1h")
    assert (none.returncode, none.stdout.startswith("No record found.")) == (0, True)


def test_json_is_one_object_that_pages(place: Place) -> None:
    first = json.loads(find(place, "--address", "nobody@example.com", "--limit", "1", "--json").stdout)
    second = json.loads(find(place, "--address", "nobody@example.com", "--after", first["next"], "--json").stdout)
    told = [*first["records"], *second["records"]]
    assert second["next"] is None
    assert {each["_id"] for each in told} == {record(place, each)["_id"] for each in ("second", "third")}
    assert "nobody@" not in json.dumps(told)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--outcome", "lost"], "--outcome: unknown outcome lost"),
        (["--after", "there"], "--after there is not valid"),
        (["--since", "yesterday"], "--since yesterday is not a time: write 30m, 2h or 3d for that long ago"),
        (["--until", "999999d"], "--until 999999d is not a time"),
    ],
)
def test_a_wrong_option_is_reported(place: Place, arguments: list[str], said: str) -> None:
    found = find(place, *arguments)
    assert (found.returncode, said in found.stderr) == (78, True)
