"""The programs under benchmarks/ run: tiny sizes, and no figure is judged but one that must hold anywhere."""

import socket
import time
from pathlib import Path

import pytest

from benchmarks import channels, feedback, material, results
from benchmarks.channel_providers import Providers
from benchmarks.distance import at_a_distance
from benchmarks.latency import under_load
from benchmarks.plot import gathered
from benchmarks.processes import work_off
from benchmarks.programs import FLOOR, OURS, PROGRAMS
from benchmarks.scale import beginning, fill, plans
from benchmarks.stages import profile
from benchmarks.startup import starts
from benchmarks.storm import most_in_a_minute, weathered
from tests.stack.place import RECORDS, Place

pytestmark = [pytest.mark.soak, pytest.mark.cold]


@pytest.mark.parametrize("name", [FLOOR, OURS])
def test_the_waits_under_an_open_load_are_reported(place: Place, tmp_path: Path, name: str) -> None:
    with place.service():
        """So that the queues stand for the floor."""
    program = next(each for each in PROGRAMS if each.name == name)
    part = program.part(place, material.write(tmp_path / "material"), program.prepare())
    row = under_load(place, part, program, rate=40, events=40)
    assert 0 < row["p50"] <= row["p90"] <= row["p99"] <= row["max"]


def test_mails_are_timed_beside_a_provider_that_hangs_and_messages_cost_something(place: Place, tmp_path: Path) -> None:
    with Providers(tmp_path / "providers") as providers:
        rows = channels.beside_a_dead_provider(place, providers, seconds=1)
        assert [row["mails"] for row in rows] == [20] * 4
        assert [bool(row["SMS sent"]) for row in rows[:3]] == [True, False, False]
        providers.hangs = False
        costs = channels.paired(place, providers, rounds=1, messages=5)
    assert [row["message"] for row in costs] == ["email", "sms", "push"]
    assert all(float(row["CPU ms"]) > 0 for row in costs)


def test_the_waits_beside_webhooks_and_clicks_are_reported(place: Place) -> None:
    load = {"clicks": 20, "webhooks": 30, "seconds": 2}
    row = feedback.one_round(place, rate=20, seconds=2, load=load)
    assert 0 < float(row["mails p50"]) <= float(row["mails p99"])
    assert all(float(row[name]) > 0 for name in ("click p50", "webhook p99", "burst s", "CPU ms each"))


def test_a_server_at_a_distance_answers_a_round_trip_later(place: Place) -> None:
    with at_a_distance(place.smtp.port, 60) as port, socket.create_connection(("127.0.0.1", port)) as connection:
        connection.recv(1000)
        sent = time.monotonic()
        connection.sendall(b"NOOP\r\n")
        assert connection.recv(1000).startswith(b"250")
        assert 0.06 <= time.monotonic() - sent < 1


def test_a_storm_keeps_its_limit_and_tickets_go_by(place: Place) -> None:
    row = weathered(place, 60, 40, 3)
    assert row["tickets"] == "60 of 60"
    assert 0 < int(row["most in a minute"]) <= 40


def test_the_most_in_a_minute_is_counted_wherever_it_begins() -> None:
    assert most_in_a_minute([0, 30, 59.9, 60, 61, 200]) == 4


def test_two_processes_send_each_mail_once(place: Place) -> None:
    assert work_off(place, 2, 40)["each exactly once"] == "yes"


def test_a_start_is_timed(place: Place) -> None:
    assert all(row["median"] for row in starts(place, 1))


def test_the_stages_add_up_to_the_process(place: Place) -> None:
    whole, stages = profile(place, 150)
    assert sum(stages.values()) == pytest.approx(whole, rel=0.1)
    # The kernel's timer sees a stage of a few milliseconds in all twice or not at all: only the large ones are certain.
    assert {"render", "SMTP", "loop"} <= set(stages)


def test_a_beginning_is_measured_beside_records_that_were_there(place: Place) -> None:
    fill(place, 50)
    assert place.database[RECORDS].count_documents({}) == 51
    found = beginning(place, 60, 30)
    assert all(found.values())
    assert len(plans(place.database)) == 5


def test_a_table_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    rows: list[results.Row] = [{"program": "ours", "p50": 1.5}]
    results.show("a title", rows)
    assert "| ours | 1.50 |" in capsys.readouterr().out
    assert '"p50": 1.5' in results.keep("latency", rows).read_text("utf-8")
    assert gathered(tmp_path)["latency"] == rows
