"""Every command, on a real terminal, over events and records whose every field is a weapon against it."""

import asyncio
import json
import os
import pty
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import aio_pika
import pytest

from tests.fuzz.weapons import FOR_A_TERMINAL
from tests.samples import fresh
from tests.stack.local import LocalStack
from tests.stack.place import RECORDS, Place, until
from tests.stack.publisher import Publication, event
from tests.stack.warm import Warm, warm_place

ALL = "".join(FOR_A_TERMINAL)
IN_BSON = ALL.encode("utf-8", "replace").decode().replace("\0", "")
MARKUP = "[/x]-A"
UNSEEN = "\u2028\u2029\u3164\u034f\ufe0f"
JANE = "jane.armed@guests.example"


def armed(value: Any, weapon: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    match value:
        case str():
            return f"{value}{weapon}"
        case dict():
            return {f"{name}": armed(each, weapon) for name, each in value.items()} | {weapon: weapon}
        case list():
            return [armed(each, weapon) for each in value]
    return value


def events() -> Iterator[Publication]:
    for number, weapon in enumerate(FOR_A_TERMINAL):
        data = armed(fresh("booking.confirmed"), weapon)
        yield event({**data, "event_type": "booking.confirmed"})
        yield event({**data, "event_type": "booking.confirmed", "booking_id": 7, "event_id": f"{number}{MARKUP}"})
        body = f"no JSON {weapon}".encode("utf-8", "surrogatepass")
        yield Publication("payment.success", body, message_id=f"{MARKUP}{number}")
    yield Publication("payment.failed", b"\x9b31m\x1b]0;x\x07 \xff\xfe raw C1 \x90\x9c", message_id="raw")
    yield Publication("payment.failed", b'{"a": "\x9b31m"}\r\nFORGED', message_id="raw2")


async def park(place: Place) -> None:
    """As another version may have parked it, with what a mail server said."""
    connection = await aio_pika.connect(place.amqp_url)
    async with connection, connection.channel() as channel:
        said = IN_BSON.replace("\x1c", "")
        headers = {"x-reason": f"parked({said})", "x-detail": said, "x-parked-at": "2026-11-26T15:00:00+00:00"}
        body = json.dumps({**fresh("booking.confirmed"), "event_id": MARKUP, "note": ALL}, indent=2).encode()
        message = aio_pika.Message(body, headers={**headers, "x-event-type": said[:200]}, message_id=MARKUP)
        await channel.default_exchange.publish(message, "notification.parked")


def record(number: int, weapon: str) -> dict[str, object]:
    """What no version of ours has written, and a person may have to look at."""
    at = datetime.now(UTC) - timedelta(hours=number)
    text = IN_BSON if weapon == ALL else weapon.encode("utf-8", "replace").decode().replace("\0", "")
    return {
        "_id": f"{number}{text}",
        "event_id": text,
        "event_ids": [f"armed{number}", text],
        "fact": text,
        "booking_id": f"B{number}{text}",
        "recipient": f"{text}{JANE}",
        "recipient_key": JANE if number % 2 else f"{text}{JANE}",
        "subject": text,
        "message_id": text,
        "event_type": text,
        "template": text,
        "notification_type": "email",
        "status": "failed",
        "outcome": "bounced",
        "reason": text,
        "detail": text,
        "fingerprint": text,
        "remarks": [text],
        "created_at": at,
        "updated_at": at,
        "attempts": [{"at": at, "result": text, "duration_ms": 1.0, "code": 550, "reply": text, "connection": text}],
        "history": [{"status": "failed", "outcome": text, "reason": text, "detail": text, "updated_at": at}],
        "event_data": {"title": text, text.replace(".", "").lstrip("$"): [text]},
        "owner": text,
    }


@pytest.fixture(scope="module")
def place(stack: LocalStack, warm: Warm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    stack.smtp.clear()
    place = warm_place(stack, tmp_path_factory.mktemp("terminal"), warm)
    published = list(events())
    with place.service(SMTP_SERVER="") as service:
        place.publish(*published)
        until(lambda: len(service.said("event.rejected")) + len(service.said("notification.closed")) >= len(published))
    asyncio.run(park(place))
    place.database.command("collMod", RECORDS, validationLevel="off")
    weapons = (*FOR_A_TERMINAL, ALL)
    place.database[RECORDS].insert_many([record(number, weapon) for number, weapon in enumerate(weapons)])
    yield place
    place.close()


Screen = Callable[..., str]


@pytest.fixture
def on_a_terminal(place: Place, warm: Warm) -> Screen:
    """Runs a command, and returns what its screen gets, from either stream.

    A dumb one: there is no escape of ours among those of the data.
    """

    def run(*arguments: str, **settings: str) -> str:
        master, slave = pty.openpty()
        environment = {"PATH": os.defpath, "COLUMNS": "150", "TERM": "dumb", **place.environment(**settings)}
        command = warm.fork(arguments, environment, place.folder, *[os.ttyname(slave)] * 3)
        os.close(slave)
        got = b""
        try:
            while piece := os.read(master, 65536):
                got += piece
        except OSError:
            pass  # the other end is closed
        finally:
            os.close(master)
            command.wait(60)
        assert got, "every command says something"
        return got.decode("utf-8", "surrogateescape").replace("\r\n", "\n")

    return run


def check(screen: str, *, well: bool = True) -> None:
    """`well`: nothing failed that no command expects."""
    for line in screen.split("\n"):
        wrong = [each for each in line if unicodedata.category(each)[0] == "C" or each in UNSEEN]
        assert not wrong, f"{wrong!a} in {line!a}"
        assert not line.startswith("FORGED"), line
    assert not (well and "Traceback" in screen), screen


LOOKS: Mapping[str, tuple[str, ...]] = {
    "parked list": ("parked", "list"),
    "parked list of one": ("parked", "list", "--event", MARKUP),
    "parked show": ("parked", "show", MARKUP),
    "parked show raw": ("parked", "show", "raw"),
    "parked show raw2": ("parked", "show", "raw2"),
    "parked replay": ("parked", "replay", "--dry-run"),
    "parked discard": ("parked", "discard", "--dry-run", "--older-than", "0"),
    "bounced list": ("bounced", "list"),
    "bounced replay": ("bounced", "replay", "--dry-run", "--code", "[/x]-A"),
    "find": ("find",),
    "find in full": ("find", "--addresses"),
    "reconcile": ("reconcile",),
    "erase": ("erase", "--address", JANE, "--dry-run"),
    "doctor": ("doctor",),
    "find one": ("find", "--event", f"armed{len(FOR_A_TERMINAL)}"),
    "find one with markup": ("find", "--event", "armed0"),
}


@pytest.mark.parametrize("arguments", LOOKS.values(), ids=LOOKS)
def test_no_command_passes_on_what_a_terminal_would_obey(on_a_terminal: Screen, arguments: tuple[str, ...]) -> None:
    check(on_a_terminal(*arguments))


@pytest.mark.parametrize(
    "arguments",
    LOOKS.values(),
    ids=LOOKS,
)
def test_json_is_one_object_on_a_terminal_too(on_a_terminal: Screen, arguments: tuple[str, ...]) -> None:
    screen = on_a_terminal(*arguments, "--json")
    check(screen)
    assert isinstance(json.loads(screen), dict)


def test_json_gives_the_weapons_back(on_a_terminal: Screen) -> None:
    (told,) = json.loads(on_a_terminal("parked", "show", MARKUP, "--json"))["events"]
    assert json.loads(told["body"])["note"] == ALL
    assert told["detail"] == IN_BSON.replace("\x1c", "")
    (raw,) = json.loads(on_a_terminal("parked", "show", "raw", "--json"))["events"]
    assert raw["body_base64"]
    found = json.loads(on_a_terminal("find", "--event", f"armed{len(FOR_A_TERMINAL)}", "--json"))["records"]
    assert found[0]["subject"] == IN_BSON


def test_the_markup_of_an_id_is_shown_and_the_id_can_be_copied(on_a_terminal: Screen) -> None:
    listed = on_a_terminal("parked", "list", "--event", MARKUP)
    assert f" {MARKUP}\n" in listed
    assert "1 parked" in listed


@pytest.mark.timeout(400)
def test_no_argument_comes_back_as_it_was(on_a_terminal: Screen) -> None:
    weapon = IN_BSON
    for arguments in (
        ("parked", "show", weapon),
        ("parked", weapon),
        (weapon,),
        (f"--{weapon}",),
        ("parked", "list", "--older-than", weapon),
        ("find", "--since", weapon),
        ("find", "--outcome", weapon),
        ("find", "--after", weapon),
        ("find", "--limit", weapon),
        ("find", "a", weapon),
        ("send-test", "--to", weapon, "--template", weapon),
        ("send-test", "--to", weapon),
        ("erase", "--address", weapon),
        ("preview", "x", "--language", weapon),
        ("preview", f"preview{weapon[-100:]}"),
        ("reconcile", "--events", weapon[-100:]),
        ("demo", "--outbox", f"demo{weapon[-100:]}"),
    ):
        check(on_a_terminal(*arguments))


@pytest.mark.parametrize(
    "settings",
    [{name: IN_BSON} for name in ("OUTBOX_DIR", "TEMPLATES_DIR", "MONGODB_URI", "SMTP_SERVER", "LOG_LEVEL")],
    ids=lambda settings: next(iter(settings)),
)
def test_no_setting_comes_back_as_it_was(on_a_terminal: Screen, settings: dict[str, str]) -> None:
    check(on_a_terminal("doctor", **settings), well=False)


def test_replaying_and_discarding_end_well(on_a_terminal: Screen) -> None:
    """Last: they take the events away."""
    screen = on_a_terminal("parked", "replay", "--event", MARKUP, "--yes")
    check(screen)
    assert "1 published again" in screen
    screen = on_a_terminal("parked", "discard", "--older-than", "0", "--yes")
    check(screen)
    assert re.search(r"[1-9][0-9] discarded", screen)


@pytest.mark.parametrize("age", ["-1", "nan", "inf", "1e300", "-0.1"])
def test_an_invalid_age_is_refused(on_a_terminal: Screen, age: str) -> None:
    screen = on_a_terminal("parked", "discard", f"--older-than={age}")
    assert "has to be a number of hours from 0 to" in screen


@pytest.mark.parametrize("option", ["--event", "--reason", "--type"])
def test_an_empty_text_chooses_nothing(on_a_terminal: Screen, option: str) -> None:
    screen = on_a_terminal("parked", "discard", option, "", "--older-than", "0", "--yes")
    assert f"discard: {option} is empty" in screen


@pytest.mark.parametrize(
    "arguments",
    [
        ("--since", "999999d"),
        ("--since", "0001-01-01T00:00+23:59"),
        ("--until", "9999-12-31T23:59-23:59"),
        ("--limit", "0"),
        ("--limit", "9" * 5000),
        ("--after", "00010101T000000.000000Z-x"),
        ("--after", "99991231T235959.999999Z-x"),
        ("--until", "0001-01-01T00:00"),
    ],
    ids=lambda arguments: " ".join(arguments)[:40],
)
def test_no_number_and_no_time_ends_a_search_in_a_traceback(on_a_terminal: Screen, arguments: tuple[str, str]) -> None:
    check(on_a_terminal("find", *arguments))
