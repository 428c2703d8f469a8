"""What is old is swept by its age, in order, and a dry run changes nothing."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from notification_service.delivery.ports.ledger import Record
from notification_service.delivery.ports.retention_policy import ChangeResult, RetentionPolicy
from notification_service.foundation.errors import ConfigurationError, StoreUnavailableError
from notification_service.records.retention_sweeper import Sweeper, SweepResult
from notification_service.settings import load

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)


class Shelf:
    """Records by their age in days, in memory."""

    def __init__(self, *days: float) -> None:
        self.records: list[dict[str, object]] = [
            {"_id": str(number), "created_at": NOW - timedelta(days=age)} for number, age in enumerate(days)
        ]
        self.read: list[int] = []
        self.stubborn: set[object] = set()
        self.without_date: list[str] = []

    async def created_between(self, after: datetime | None, before: datetime) -> AsyncIterator[Sequence[Record]]:
        earliest = after or datetime.min.replace(tzinfo=UTC)
        found = [each for each in self.records if earliest <= _made(each) < before]
        self.read.append(len(found))
        for at in range(0, len(found), 2):
            yield sorted(found, key=_made)[at : at + 2]

    async def undated(self) -> Sequence[str]:
        return self.without_date

    async def strip(self, records: Sequence[Record], at: datetime) -> ChangeResult:
        ids = {record["_id"] for record in records} - self.stubborn
        for each in self.records:
            if each["_id"] in ids:
                each["stripped_at"] = at
        return ChangeResult(len(ids), {str(each["_id"]): "odd" for each in records if each["_id"] in self.stubborn})

    async def remove(self, records: Sequence[Record]) -> ChangeResult:
        ids = {record["_id"] for record in records}
        self.records = [each for each in self.records if each["_id"] not in ids]
        return ChangeResult(len(ids))

    async def forget_facts(self, before: datetime) -> int:  # noqa: ARG002 - the protocol's
        return 7

    @property
    def left(self) -> dict[object, bool]:
        """Which are there, and whether they still say whose they are."""
        return {each["_id"]: "stripped_at" not in each for each in self.records}


def _made(record: Record) -> datetime:
    made = record["created_at"]
    assert isinstance(made, datetime)
    return made


async def test_each_age_has_its_fate() -> None:
    shelf = Shelf(0, 29.9, 30.1, 364, 366)
    swept = await Sweeper(shelf, RetentionPolicy(30, 365), pause_s=0).sweep(NOW)
    assert swept == SweepResult(stripped=2, removed=1, facts=7)
    assert shelf.left == {"0": True, "1": True, "2": False, "3": False}


async def test_a_second_sweep_finds_nothing_and_reads_little() -> None:
    shelf = Shelf(*range(20, 40))
    sweeper = Sweeper(shelf, RetentionPolicy(10, 0), pause_s=0)
    assert (await sweeper.sweep(NOW)).stripped == 20
    assert await sweeper.sweep(NOW) == SweepResult()
    assert shelf.read == [20, 1]


async def test_what_was_under_way_when_it_was_passed_over_is_found_within_a_day() -> None:
    shelf = Shelf(20, 30)
    late = shelf.records.pop()
    sweeper = Sweeper(shelf, RetentionPolicy(10, 0), pause_s=0)
    await sweeper.sweep(NOW)
    shelf.records.append(late)
    stripped = [(await sweeper.sweep(NOW)).stripped for _ in range(24)]
    assert sum(stripped) == 1


async def test_a_dry_run_counts_the_same_and_changes_nothing() -> None:
    shelf = Shelf(0, 30.1, 364, 366)
    swept = await Sweeper(shelf, RetentionPolicy(30, 365), pause_s=0).sweep(NOW, dry=True)
    assert (swept.stripped, swept.removed) == (2, 1)
    assert list(shelf.left.values()) == [True] * 4


async def test_without_an_age_nothing_is_even_read() -> None:
    shelf = Shelf(10_000)
    assert await Sweeper(shelf, RetentionPolicy(0, 0), pause_s=0).sweep(NOW) == SweepResult()
    assert shelf.read == []


async def test_what_cannot_be_changed_is_reported_and_the_others_are_swept() -> None:
    shelf = Shelf(20, 21, 22, 23, 24)
    shelf.stubborn, shelf.without_date = {"4", "2"}, ["x"]
    sweeper = Sweeper(shelf, RetentionPolicy(10, 0), pause_s=0)
    with capture_logs() as said:
        assert await sweeper.sweep(NOW) == SweepResult(stripped=3, left=3)
        # Until tomorrow, only what is as old as the youngest of them is read again.
        assert await sweeper.sweep(NOW) == SweepResult()
    assert [(line["event"], line["notification_id"]) for line in said] == [
        ("retention.left", "x"),
        ("retention.left", "4"),
        ("retention.left", "2"),
    ]


async def test_of_many_that_cannot_be_changed_some_are_named_and_all_are_counted() -> None:
    shelf = Shelf(*range(20, 60))
    shelf.stubborn = {each["_id"] for each in shelf.records}
    with capture_logs() as said:
        assert (await Sweeper(shelf, RetentionPolicy(10, 0), pause_s=0).sweep(NOW)).left == 40
    assert len(said) == 20


async def test_an_invalid_date_is_not_used_to_continue_from() -> None:
    shelf = Shelf(22, 21)
    sweeper = Sweeper(shelf, RetentionPolicy(10, 0), pause_s=0)
    shelf.created_between = _with_a_list_of_dates(shelf)  # type: ignore[method-assign]  # as MongoDB compares lists
    await sweeper.sweep(NOW)
    assert await sweeper.sweep(NOW) == SweepResult()


def _with_a_list_of_dates(shelf: Shelf) -> Any:  # noqa: ANN401 - the protocol's method
    inner = shelf.created_between

    async def created_between(after: datetime | None, before: datetime) -> AsyncIterator[Sequence[Record]]:
        assert after is None or isinstance(after, datetime)
        async for batch in inner(after, before):
            yield [*batch, {"_id": "list", "created_at": [NOW], "stripped_at": NOW}]

    return created_between


@pytest.mark.parametrize(
    "problem", [StoreUnavailableError("MongoDB", "away"), TypeError("odd"), KeyError("created_at"), RecursionError()]
)
async def test_whatever_a_sweep_meets_the_next_one_comes(problem: Exception) -> None:
    met, swept = asyncio.Event(), asyncio.Event()

    class Odd(Shelf):
        async def undated(self) -> Sequence[str]:
            if not met.is_set():
                met.set()
                raise problem
            return []

        async def strip(self, records: Sequence[Record], at: datetime) -> ChangeResult:
            swept.set()
            return await super().strip(records, at)

    with capture_logs() as said:
        sweeping = asyncio.create_task(Sweeper(Odd(20), RetentionPolicy(10, 0), pause_s=0, interval_s=0.01).forever())
        async with asyncio.timeout(5):
            await swept.wait()
        sweeping.cancel()
    assert said[0]["event"] == "retention.failed"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"RECORD_DAYS_FULL": "6"}, "RECORD_DAYS_FULL=6 is less than PARKING_DAYS=7"),
        ({"RECORD_DAYS": "6"}, "RECORD_DAYS=6 is less than PARKING_DAYS=7"),
        ({"RECORD_DAYS": "14"}, "RECORD_DAYS=14 is less than VERDICT_DAYS=15"),
    ],
)
def test_ages_that_would_forget_what_is_still_asked_for_are_refused(
    settings: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=named):
        load(None)


def test_ages_that_are_long_enough_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECORD_DAYS_FULL", "7")
    monkeypatch.setenv("RECORD_DAYS", "15")
    assert load(None).service.record_days == 15
