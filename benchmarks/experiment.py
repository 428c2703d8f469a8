"""`make bench-experiment`: what a test of two variants costs an event, on the in-memory stores, in CPU."""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from benchmarks import results
from notification_service.contract.experiments import parse_experiment
from notification_service.delivery.experiments import RunningExperiment
from notification_service.stores.memory.experiments import MemoryExperiments
from tests.samples import sample
from tests.unit.fakes import inbound, notification
from tests.unit.test_pipeline import Cinema

LIMIT_US = 50.0
"""Microseconds of an event that a running test may cost."""

_TEST = parse_experiment("payment_failed:b=0.000001:salt=bench:wanted=0.05")
"""Everybody is assigned, and all get the control: the two runs compose the same mails."""


async def running() -> RunningExperiment:
    made = RunningExperiment(_TEST, MemoryExperiments())
    await made.start()
    return made


def assignment_us(made: RunningExperiment, times: int = 20_000) -> float:
    """Microseconds of one assignment, the best of five rounds."""
    planned = notification(sample("payment.failed"))

    def once() -> float:
        began = time.process_time()
        for _ in range(times):
            made.assign(planned)
        return (time.process_time() - began) / times * 1e6

    return min(once() for _ in range(5))


async def difference_us(rounds: int, events: int) -> tuple[float, float]:
    """Microseconds of an event without a test, and how many more with one: medians of interleaved rounds."""
    made = await running()
    plain = [await _timed(events, None)]
    tested = [await _timed(events, made)]
    for _ in range(rounds):
        plain.append(await _timed(events, None))
        tested.append(await _timed(events, made))
    differences = [with_it - without for without, with_it in zip(plain[1:], tested[1:], strict=True)]
    return statistics.median(plain[1:]), statistics.median(differences)


async def _timed(events: int, experiment: RunningExperiment | None) -> float:
    cinema = Cinema()
    pipeline = replace(cinema.pipeline, experiment=experiment)
    messages = [
        inbound(sample("payment.failed", event_id=f"e{number}", booking_id=f"B{number}", transaction_id=f"T{number}"))
        for number in range(events)
    ]
    handle: Callable[..., Awaitable[object]] = pipeline.handle
    began = time.process_time()
    for message in messages:
        await handle(message)
    return (time.process_time() - began) / events * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--events", type=int, default=300)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    assigned = assignment_us(asyncio.run(running()))
    whole, more = asyncio.run(difference_us(options.rounds, options.events))
    rows: list[results.Row] = [
        {"of an event": "its assignment alone", "us": round(assigned, 2)},
        {"of an event": "all of it, in memory, without a test", "us": round(whole, 1)},
        {"of an event": "more with a test", "us": round(more, 1)},
    ]
    results.show("What a test of two variants costs an event", rows)
    if max(assigned, more) > LIMIT_US:
        raise SystemExit(f"a test costs more than {LIMIT_US:g} microseconds an event")


if __name__ == "__main__":
    main()
