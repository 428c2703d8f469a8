"""Workers with a test of two variants are killed: each person keeps one variant in each channel, and tries are copies.

A worker that cannot enter the test, or whose variant is broken, loses no mail either.
"""

import json
import os
import random
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections import Counter, defaultdict
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from notification_service.bootstrap import further_channels
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.experiments import assign, parse_experiment
from tests.faults.judge import Judge
from tests.samples import fresh
from tests.stack.inspection import end_well
from tests.stack.place import RECORDS, Document, Place, until
from tests.stack.smtp_rules import Rule
from tests.stack.twilio import NOT_TAKEN_AND_LOST, Reply, Twilio
from tests.unit.fakes import TEMPLATES

TEST = "payment_failed:b=0.5:salt=kills:wanted=0.05"
PEOPLE = 8
EVENTS_A_KILL = 6
NOW = datetime(2026, 12, 1, tzinfo=UTC)
VARIANT = "Variant B of your payment"
PHONE = "+491511234567"
OTHERS = {ChannelKind.SMS: further_channels.with_answers(("payment.failed",))}
RULES = (
    Rule(at="rcpt", reply="450 4.2.1 mailbox busy", times=2),
    Rule(at="mail", reply="421 4.3.2 closing", times=2),
    Rule(at="dot", action="drop_after_accept", times=2),
)
SLOW = Rule(at="dot", action="late", seconds=0.1)


def with_variant(folder: Path, subject: str, **files: str) -> Path:
    """`files`: further ones of the variant, `sms_txt` for sms.txt."""
    shutil.copytree(TEMPLATES, folder)
    (folder / "payment_failed@b").mkdir()
    for name, text in {"subject_txt": subject, **files}.items():
        (folder / "payment_failed@b" / name.replace("_", ".")).write_text(text)
    return folder


def with_variant_of_sms(folder: Path) -> Path:
    """Each SMS names its booking: two equal texts to one number are one message to Twilio's list."""
    named = "\n{{ event.booking_id }}\n"
    templates = with_variant(folder, VARIANT, sms_txt=VARIANT + named)
    control = templates / "payment_failed" / "sms.txt"
    control.write_text(control.read_text("utf-8") + named, "utf-8")
    return templates


def failed(dice: random.Random) -> Document:
    number = dice.randrange(PEOPLE)
    person = {"user_id": f"user-{number}", "user_email": f"user-{number}@guests.example", "phone": f"{PHONE}{number}"}
    return fresh("payment.failed", **person)


@pytest.mark.timeout(300)
def test_a_few_kills(place: Place, tmp_path: Path) -> None:
    _kill_at_random(place, with_variant_of_sms(tmp_path / "templates"), workers=2, kills=3, seconds=0)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_minute_of_kills(place: Place, tmp_path: Path) -> None:
    _kill_at_random(place, with_variant_of_sms(tmp_path / "templates"), workers=4, kills=15, seconds=60)


def _kill_at_random(place: Place, templates: Path, *, workers: int, kills: int, seconds: float) -> None:
    """At least so many kills, and at least so long."""
    seed = int(os.environ.get("FAULT_SEED", secrets.randbelow(10**6)))
    sys.stdout.write(f"FAULT_SEED={seed}\n")
    dice = random.Random(seed)  # noqa: S311 - it has to be repeatable
    judge, done, end = Judge(place, others=OTHERS), 0, time.monotonic() + seconds
    settings = {"TEMPLATES_DIR": str(templates), "EXPERIMENT": TEST, "LEASE_SECONDS": "2", "MAX_RETRY_ATTEMPTS": "50"}
    with Twilio(drop_every=7) as twilio, ExitStack() as stack:
        twilio.script(NOT_TAKEN_AND_LOST, always=Reply(seconds=0.05))
        settings |= {**twilio.environment, "SMS_EVENTS": "payment.failed", "NOTIFICATION_TIMEOUT": "5"}
        running = [stack.enter_context(place.service(**settings)) for _ in range(workers)]
        while done < kills or time.monotonic() < end:
            place.smtp.script([dice.choice(RULES), SLOW])
            judge.publish(*(failed(dice) for _ in range(EVENTS_A_KILL)))
            time.sleep(dice.uniform(0, 0.8))  # the moment of the kill
            victim = dice.choice(running)
            victim.kill()
            victim.start()
            victim.wait_ready()
            done += 1
        place.smtp.clear()
        until(judge.at_rest, timeout=180)
        end_well(*running)
    judge.verdict()
    again = _assert_one_variant_each(place)
    again_by_sms = _assert_one_sms_each(place, twilio)
    sys.stdout.write(
        f"{done} kills, {len(judge.confirmed)} events: {again} mails and {again_by_sms} SMS went out again\n"
    )


def _assert_one_variant_each(place: Place) -> int:
    """The number of mails that went out again."""
    variants: dict[str, set[str]] = defaultdict(set)
    contents: dict[str | None, set[bytes]] = defaultdict(set)
    for mail in place.mails():
        (recipient,) = mail.rcpt_to
        variants[recipient].add("b" if mail.message()["Subject"] == VARIANT else "a")
        contents[mail.message_id].add(mail.message_bytes())
    assert {recipient for recipient, seen in variants.items() if len(seen) > 1} == set()
    assert set.union(*variants.values()) == {"a", "b"}
    assert {name for name, seen in contents.items() if len(seen) > 1} == set()
    experiment = parse_experiment(TEST)
    for record in place.records():
        data = record["event_data"]
        known = assign(experiment, str(data["user_id"]))
        assert (record["experiment"], record["variant"], record["unit"]) == ("kills", str(known.variant), known.unit)
        assert variants[data["user_email"]] == {record["variant"]}
    return len(place.mails()) - len(contents)


def _assert_one_sms_each(place: Place, twilio: Twilio) -> int:
    """Each booking has one SMS, in the variant of its record, and every try had the same text.

    The number of tries beyond the first.
    """
    tried: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for form in twilio.forms:
        tried[form["Body"].splitlines()[-1]].append((form["To"], form["Body"]))
    records = list(place.database[RECORDS].find({"notification_type": "sms"}))
    assert {record["outcome"] for record in records} == {"sent"}
    assert Counter(each.body.splitlines()[-1] for each in twilio.messages) == Counter(
        record["booking_id"] for record in records
    )
    for record in records:
        ((number, text),) = set(tried[record["booking_id"]])
        assert number == record["event_data"]["phone"]
        assert text.startswith(VARIANT) is (record["variant"] == "b")
    return len(twilio.forms) - len(tried)


BROKEN = '{% if event.failure_reason == "boom" %}{{ nothing.such }}{% endif %}'


@pytest.mark.timeout(120)
def test_a_variant_that_breaks_at_run_time_costs_no_message_of_two_workers(place: Place, tmp_path: Path) -> None:
    templates = with_variant(tmp_path / "templates", VARIANT + BROKEN, sms_txt=VARIANT + BROKEN)
    settings = {"TEMPLATES_DIR": str(templates), "EXPERIMENT": TEST.replace("b=0.5", "b=0.999999")}
    dice = random.Random(1)  # noqa: S311 - any people
    events = [{**failed(dice), "failure_reason": "boom"} for _ in range(12)]
    judge = Judge(place, others=OTHERS)
    with Twilio() as twilio:
        settings |= {**twilio.environment, "SMS_EVENTS": "payment.failed"}
        with place.service(**settings) as one, place.service(**settings) as two:
            judge.publish(*events)
            until(judge.at_rest)
            end_well(one, two)
    judge.verdict()
    assert len(place.mails()) == len(twilio.messages) == len(events)
    records = place.records()
    assert {record["outcome"] for record in records} == {"sent"}
    assert any(record.get("fell_back") for record in records)
    assert all(record.get("variant", "a") == "a" for record in records)
    register = place.database["notification_facts"].find_one({"_id": "experiments"})
    assert register
    assert re.search(r"could not be composed: (subject|sms)\.txt:1$", register["tests"]["kills"]["stop_reason"])
    again = place.command("experiment", "report", **settings)
    assert (again.returncode, "It stopped" in again.stdout) == (0, True)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("gone", ["setting", "folder"])
def test_what_is_in_doubt_goes_again_by_its_record_though_the_test_is_gone(
    place: Place, tmp_path: Path, gone: str
) -> None:
    """The worker dies while the mail server has the mail, and the provider has the SMS or not."""
    templates = with_variant_of_sms(tmp_path / "templates")
    judge = Judge(place, others=OTHERS)
    with Twilio() as twilio:
        settings = {"TEMPLATES_DIR": str(templates), "LEASE_SECONDS": "2", "SMS_EVENTS": "payment.failed"}
        settings |= twilio.environment
        place.smtp.script([Rule(at="dot", action="late", seconds=60, times=1)])
        twilio.script(Reply(seconds=20, takes=False, lost=True))
        with place.service(**settings, EXPERIMENT=TEST.replace("b=0.5", "b=0.999999")) as one:
            judge.publish(failed(random.Random(1)))  # noqa: S311 - one person of several
            until(lambda: len(place.mails()) == len(twilio.forms) == 1)
            one.kill()
        place.smtp.clear()
        if gone == "folder":
            shutil.rmtree(templates / "payment_failed@b")
        with place.service(**settings) as two:
            until(judge.at_rest)
            end_well(two)
    judge.verdict()
    mails = [mail.message_bytes() for mail in place.mails()]
    texts = [form["Body"] for form in twilio.forms]
    for tries in (mails, texts):
        assert len(tries) == 2
        assert (tries[0] == tries[1]) is (gone == "setting")
    assert [text.startswith(VARIANT) for text in texts] == [True, gone == "setting"]
    sent = ("b", None) if gone == "setting" else ("a", True)
    for record in place.records():
        assert (record["variant"], record.get("fell_back")) == sent
        assert (record["outcome"], record.get("possible_duplicate")) == ("sent", True)


@pytest.mark.parametrize(
    ("folder", "test", "said"),
    [
        ("payment_failed@c", "", "the one variant of a template is payment_failed@b"),
        ("payment_failed@b", "payment_failed:a=0.6:b=0.5:salt=x:wanted=0.05", "do not add up to 1"),
        (
            "payment_failed@b",
            "payment_success:b=0.5:salt=x:wanted=0.05",
            "there is no template folder payment_success@b",
        ),
        ("payment_faild@b", "", "there is no template 'payment_faild'"),
        ("payment_failed@B", "", "the one variant of a template is payment_failed@b"),
        ("payment_failed@b", f"{TEST},{TEST.replace('kills', 'more')}", "expected one test such as"),
        (
            "payment_failed@b",
            "payment_failed:b=0.4:salt=used:wanted=0.05",
            "salt was used for payment_failed:b=0.5",
        ),
    ],
)
def test_a_wrong_test_stops_the_start_with_one_line(
    place: Place, tmp_path: Path, folder: str, test: str, said: str
) -> None:
    templates = with_variant(tmp_path / "templates", VARIANT)
    (templates / "payment_failed@b").rename(templates / folder)
    known = {"template": "payment_failed", "share": 0.5, "wanted": 0.05, "started_at": NOW}
    place.database["notification_facts"].insert_one({"_id": "experiments", "tests": {"used": known}})
    ended = place.command("run", TEMPLATES_DIR=str(templates), EXPERIMENT=test)
    _assert_one_line(ended, said)


@pytest.mark.parametrize(
    ("settings", "text", "said"),
    [
        ({"SMS_PROVIDER": "twilio"}, "word " * 80, "sms.txt:1: an empty payment.failed in en: 3 segments"),
        ({"PUSH_PROVIDERS": "fcm"}, "{{ nothing.here }}", "push.txt:1: an empty payment.failed in en: 'nothing' is"),
    ],
)
def test_a_wrong_text_of_a_variant_stops_the_start_with_one_line(
    place: Place, tmp_path: Path, settings: dict[str, str], text: str, said: str
) -> None:
    templates = with_variant(tmp_path / "templates", VARIANT, sms_txt=text, push_txt=text)
    ended = place.command("run", TEMPLATES_DIR=str(templates), EXPERIMENT=TEST, **settings)
    _assert_one_line(ended, f"payment_failed@b/{said}")


def _assert_one_line(ended: subprocess.CompletedProcess[str], said: str) -> None:
    assert ended.returncode == 78
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"share": 0.5, "stopped_at": NOW, "stop_reason": "broken"}, "it stopped at 2026-12-01 00:00 UTC (broken)"),
        ({"share": "0.5"}, "the register of tests cannot be read"),
    ],
)
def test_the_doctor_says_why_everybody_gets_the_control(
    place: Place, tmp_path: Path, known: Document, said: str
) -> None:
    templates = with_variant(tmp_path / "templates", VARIANT)
    test = {"template": "payment_failed", "wanted": 0.05, "started_at": NOW, **known}
    place.database["notification_facts"].insert_one({"_id": "experiments", "tests": {"kills": test}})
    ended = place.command("doctor", "--json", TEMPLATES_DIR=str(templates), EXPERIMENT=TEST)
    (found,) = [each for each in json.loads(ended.stdout)["findings"] if each["what"] == "test of two variants"]
    assert not found["ok"]
    assert f"everybody gets the control: {said}" in found["detail"]
