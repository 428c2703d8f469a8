"""`make bench-experiment`: what a test of two variants costs an event, on the in-memory stores, in CPU."""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from benchmarks import results
from notification_service import bootstrap
from notification_service.channels.email.composer import EmailComposer
from notification_service.channels.email.template_loading import load as load_mails
from notification_service.channels.push import template_loading as push_texts
from notification_service.channels.push.devices import PushService
from notification_service.channels.sms import template_loading as sms_texts
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.devices import Device
from notification_service.contract.experiments import parse_experiment
from notification_service.delivery.experiments import RunningExperiment
from notification_service.delivery.ports.composer import Composer
from notification_service.delivery.ports.directory import Recipient
from notification_service.settings import load
from notification_service.stores.memory.experiments import MemoryExperiments
from tests.samples import sample
from tests.unit.fakes import TEMPLATES, inbound, notification
from tests.unit.test_pipeline import SENDER, Cinema

LIMIT_US = 50.0
"""Microseconds of an event that a running test may cost."""

_TEST = parse_experiment("payment_failed:b=0.000001:salt=bench:wanted=0.05")
"""Everybody is assigned, and all get the control: the two runs compose the same mails."""


_JANE = Recipient("jane@guests.example", "Jane", phone="+4915112345678", device_tokens=(Device("ab" * 32),))


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


def composers() -> dict[ChannelKind, Composer]:
    profile = bootstrap.profile(load(None))
    mails = EmailComposer(load_mails(TEMPLATES, profile), SENDER, max_attachment_bytes=10**6)
    sms = sms_texts.load(TEMPLATES, profile, default_country=None)
    return {each.channel: each for each in (mails, sms, push_texts.load(TEMPLATES, profile, tuple(PushService)))}


async def difference_us(composer: Composer, rounds: int, events: int) -> tuple[float, float]:
    """Microseconds of an event without a test, and how many more with one: medians of interleaved rounds."""
    made = await running()
    plain = [await _timed(composer, events, None)]
    tested = [await _timed(composer, events, made)]
    for _ in range(rounds):
        plain.append(await _timed(composer, events, None))
        tested.append(await _timed(composer, events, made))
    differences = [with_it - without for without, with_it in zip(plain[1:], tested[1:], strict=True)]
    return statistics.median(plain[1:]), statistics.median(differences)


async def _timed(composer: Composer, events: int, experiment: RunningExperiment | None) -> float:
    cinema = Cinema(people={"user456": _JANE})
    pipeline = replace(cinema.pipeline, composer=composer, experiment=experiment)
    messages = [
        inbound(sample("payment.failed", event_id=f"e{number}", booking_id=f"B{number}", transaction_id=f"T{number}"))
        for number in range(events)
    ]
    handle: Callable[..., Awaitable[object]] = pipeline.handle
    began = time.process_time()
    for message in messages:
        await handle(message)
    spent = (time.process_time() - began) / events * 1e6
    if len(cinema.mails) != events:
        raise SystemExit(
            f"{len(cinema.mails)} of {events} messages of {composer.channel} were sent: nothing was measured"
        )
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--events", type=int, default=300)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    assigned = assignment_us(asyncio.run(running()))
    rows: list[results.Row] = [{"of an event": "its assignment alone", "us": round(assigned, 2)}]
    most = assigned
    for kind, composer in composers().items():
        whole, more = asyncio.run(difference_us(composer, options.rounds, options.events))
        rows.append({"of an event": f"{kind}: all of it, in memory, without a test", "us": round(whole, 1)})
        rows.append({"of an event": f"{kind}: more with a test", "us": round(more, 1)})
        most = max(most, more)
    results.show("What a test of two variants costs an event", rows)
    if most > LIMIT_US:
        raise SystemExit(f"a test costs more than {LIMIT_US:g} microseconds an event")


if __name__ == "__main__":
    main()
