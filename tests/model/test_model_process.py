"""The model's own event loop: time does not advance by itself, steps wait, and killed workers do nothing more."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.model.process import Clock, Process


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def process(clock: Clock) -> Process:
    return Process(clock)  # type: ignore[abstract]  # what it lacks, nobody here asks for


def test_a_sleep_ends_when_the_clock_is_put_forward(process: Process, clock: Clock) -> None:
    seen: list[float] = []

    async def sleep() -> None:
        await asyncio.sleep(30)
        seen.append(time.monotonic())

    process.create_task(sleep())
    process.run_ready()
    assert (process.next_timer, seen) == (clock.now + 30, [])
    clock.now += 30
    process.run_ready()
    assert seen == [clock.now]
    assert time.monotonic() != clock.now


def test_a_step_waits_until_it_is_let_through(process: Process) -> None:
    done: list[str] = []

    async def work() -> None:
        for name in ("first", "second"):
            await process.gate(name)
            done.append(name)

    process.create_task(work())
    process.run_ready()
    assert done == []
    process.let_through(process.gates[0])
    assert done == ["first"]
    assert [gate.name for gate in process.gates] == ["second"]


def test_the_dead_take_no_further_step(process: Process) -> None:
    """Neither in a `finally`, nor where an async context manager had not come to its `yield`."""
    done: list[str] = []

    async def step(name: str) -> None:
        await process.gate(name)
        done.append(name)

    @asynccontextmanager
    async def turn() -> AsyncIterator[None]:
        try:
            await step("in the turn")
            yield
        finally:
            await step("after the turn")

    async def work() -> None:
        try:
            async with turn():
                await step("work")
        finally:
            await step("clean-up")

    process.create_task(work())
    process.run_ready()
    process.kill()
    process.run_ready()
    assert (done, process.gates, process.problems) == ([], [], [])


def test_an_exception_that_ends_a_task_is_a_problem(process: Process) -> None:
    async def fail() -> None:
        raise ValueError("nobody asks")

    process.create_task(fail())
    process.run_ready()
    assert process.problems == ["ValueError('nobody asks')"]
