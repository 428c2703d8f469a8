"""Workers with a test of two variants are killed: each person keeps one variant, and a second mail is a copy.

A worker that cannot enter the test, or whose variant is broken, loses no mail either.
"""

import os
import random
import secrets
import shutil
import sys
import time
from collections import defaultdict
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from notification_service.contract.experiments import assign, parse_experiment
from tests.faults.judge import Judge
from tests.samples import fresh
from tests.stack.inspection import end_well
from tests.stack.place import Document, Place, until
from tests.stack.smtp_rules import Rule
from tests.unit.fakes import TEMPLATES

TEST = "payment_failed:b=0.5:salt=kills:wanted=0.05"
PEOPLE = 8
EVENTS_A_KILL = 6
NOW = datetime(2026, 12, 1, tzinfo=UTC)
VARIANT = "Variant B of your payment"
RULES = (
    Rule(at="rcpt", reply="450 4.2.1 mailbox busy", times=2),
    Rule(at="mail", reply="421 4.3.2 closing", times=2),
    Rule(at="dot", action="drop_after_accept", times=2),
)
SLOW = Rule(at="dot", action="late", seconds=0.1)


def with_variant(folder: Path, subject: str) -> Path:
    shutil.copytree(TEMPLATES, folder)
    (folder / "payment_failed@b").mkdir()
    (folder / "payment_failed@b" / "subject.txt").write_text(subject)
    return folder


def failed(dice: random.Random) -> Document:
    user = f"user-{dice.randrange(PEOPLE)}"
    return fresh("payment.failed", user_id=user, user_email=f"{user}@guests.example")


@pytest.mark.timeout(300)
def test_a_few_kills(place: Place, tmp_path: Path) -> None:
    _kill_at_random(place, with_variant(tmp_path / "templates", VARIANT), workers=2, kills=3)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_minute_of_kills(place: Place, tmp_path: Path) -> None:
    _kill_at_random(place, with_variant(tmp_path / "templates", VARIANT), workers=4, seconds=60)


def _kill_at_random(place: Place, templates: Path, *, workers: int, kills: int = 10**6, seconds: float = 600) -> None:
    seed = int(os.environ.get("FAULT_SEED", secrets.randbelow(10**6)))
    sys.stdout.write(f"FAULT_SEED={seed}\n")
    dice = random.Random(seed)  # noqa: S311 - it has to be repeatable
    judge, done, end = Judge(place), 0, time.monotonic() + seconds
    settings = {"TEMPLATES_DIR": str(templates), "EXPERIMENT": TEST, "LEASE_SECONDS": "2", "MAX_RETRY_ATTEMPTS": "50"}
    with ExitStack() as stack:
        running = [stack.enter_context(place.service(**settings)) for _ in range(workers)]
        while done < kills and time.monotonic() < end:
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
    _assert_one_variant_each(place, done)


def _assert_one_variant_each(place: Place, kills: int) -> None:
    variants: dict[str, set[str]] = defaultdict(set)
    contents: dict[str | None, set[bytes]] = defaultdict(set)
    for mail in place.mails():
        (recipient,) = mail.rcpt_to
        variants[recipient].add("b" if mail.message()["Subject"] == VARIANT else "a")
        contents[mail.message_id].add(mail.message_bytes())
    again = len(place.mails()) - len(contents)
    sys.stdout.write(f"{kills} kills: {len(contents)} notifications, {again} mails went out again\n")
    assert {recipient for recipient, seen in variants.items() if len(seen) > 1} == set()
    assert set.union(*variants.values()) == {"a", "b"}
    assert {name for name, seen in contents.items() if len(seen) > 1} == set()
    experiment = parse_experiment(TEST)
    for record in place.records():
        user = str(record["event_data"]["user_id"])
        assert (record["variant"], record["unit"]) == (str((known := assign(experiment, user)).variant), known.unit)
        assert variants[record["recipient"]] == {record["variant"]}


BROKEN = '{% if event.failure_reason == "boom" %}{{ nothing.such }}{% endif %}'


@pytest.mark.timeout(120)
def test_a_variant_that_breaks_at_run_time_costs_no_mail_of_two_workers(place: Place, tmp_path: Path) -> None:
    templates = with_variant(tmp_path / "templates", VARIANT + BROKEN)
    settings = {"TEMPLATES_DIR": str(templates), "EXPERIMENT": TEST.replace("b=0.5", "b=0.999999")}
    events = [
        fresh("payment.failed", user_id=f"user-{each}", user_email=f"user-{each}@guests.example", failure_reason="boom")
        for each in range(12)
    ]
    judge = Judge(place)
    with place.service(**settings) as one, place.service(**settings) as two:
        judge.publish(*events)
        until(judge.at_rest)
        end_well(one, two)
    assert len(place.mails()) == len(events)
    assert set(place.outcomes().values()) == {"sent"}
    records = place.records()
    assert any(record.get("fell_back") for record in records)
    assert all(record.get("variant", "a") == "a" for record in records)
    register = place.database["notification_facts"].find_one({"_id": "experiments"})
    assert register
    assert register["tests"]["kills"]["stop_reason"].endswith("could not be composed: subject.txt:1")
    again = place.command("experiment", "report", **settings)
    assert (again.returncode, "stopped" in again.stdout) == (0, True)


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
    assert ended.returncode == 78
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
