"""Webhooks arrive while the listener, the worker and their connections are killed: nothing is lost that had its 200.

`make kills-with-webhooks` runs it for as long as it is told.
"""

import itertools
import os
import random
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import httpx
import pytest

from notification_service.content.reader_links import Subscription, unsubscribe_token
from notification_service.contract.signals import Signal, SignalKind
from notification_service.delivery.ports.signals import key_of
from notification_service.foundation.keyed_tokens import TokenKeys
from tests.e2e.test_feedback import QUEUE, SETTINGS as FEEDBACK, callbacks, signals
from tests.samples import fresh
from tests.stack.place import Document, Place, until
from tests.stack.processes import Part
from tests.stack.proxy import Proxy
from tests.stack.publisher import event
from tests.unit.test_webhooks import NOW, basic, postmark_bounce

SETTINGS = {**FEEDBACK, "CALLBACK_URL": "https://links.cinema.example", "LEASE_SECONDS": "2"}
KEYS = TokenKeys({1: FEEDBACK["LINK_KEYS"].partition(":")[2]})
_TRIES = 5
_PAUSE_S = 0.02

Ask = Callable[[httpx.Client, int], httpx.Response]


@dataclass
class Sender:
    """Asks one thing after the other, each again until it has its 200 or was refused five times."""

    ask: Ask
    answered: set[int] = field(default_factory=set)
    outcomes: Counter[str] = field(default_factory=Counter)

    def run(self, base: str, stopped: threading.Event) -> None:
        with httpx.Client(base_url=base, timeout=10) as client:
            for number in itertools.takewhile(lambda _: not stopped.is_set(), itertools.count(1)):
                if any(self._is_answered(client, number) for _ in range(_TRIES)):
                    self.answered.add(number)
                time.sleep(_PAUSE_S)

    def _is_answered(self, client: httpx.Client, number: int) -> bool:
        try:
            status = self.ask(client, number).status_code
        except httpx.HTTPError:
            status = 0
        self.outcomes[str(status or "no answer")] += 1
        if status != 200:
            time.sleep(0.15)
        return status == 200


def _bounce(client: httpx.Client, number: int) -> httpx.Response:
    body = {**postmark_bounce("HardBounce", "smtp;550 5.1.1 unknown"), "ID": number}
    return client.post("/cb/postmark", json=body, headers=basic())


def _wish(client: httpx.Client, number: int) -> httpx.Response:
    token = unsubscribe_token(KEYS, Subscription(_reader(number), "fedcba9876543210" * 2, "en"))
    return client.post(f"/u/{token}", data={"List-Unsubscribe": "One-Click"})


def _reader(number: int) -> str:
    return f"{number:032x}"


def _bounce_key(number: int) -> str:
    return key_of(Signal(source="postmark", source_id=f"bounce.{number}", kind=SignalKind.BOUNCED, at=NOW))


def _killed(part: Part) -> None:
    part.kill()
    part.start()
    part.wait_ready()


def _faults(drawn: random.Random, kinds: list[str], seconds: float) -> Iterator[str]:
    """Each kind at least once, in an order that is drawn anew, until the time is over."""
    end = time.monotonic() + seconds
    while True:
        yield from drawn.sample(kinds, len(kinds))
        if time.monotonic() > end:
            return


def _run(place: Place, seconds: float, seed: int) -> str:
    drawn = random.Random(seed)  # noqa: S311 - no secret
    provider, readers, stopped = Sender(_bounce), Sender(_wish), threading.Event()
    published: list[Document] = []
    with Proxy(place.stack.broker.port) as proxy:
        through = re.sub(r":\d+/", f":{proxy.port}/", place.amqp_url)
        listener = callbacks(place, **{**SETTINGS, "RABBITMQ_URL": through})
        worker = place.service(**SETTINGS, RABBITMQ_URL=through)
        with listener, worker:
            base = f"http://127.0.0.1:{listener.environment()['CALLBACK_PORT']}"
            threads = [threading.Thread(target=each.run, args=(base, stopped)) for each in (provider, readers)]
            for thread in threads:
                thread.start()
            faults = Counter[str]()
            kinds: dict[str, Callable[[], None]] = {
                "listener": partial(_killed, listener),
                "worker": partial(_killed, worker),
                "broker": proxy.cut,
            }
            try:
                for name in _faults(drawn, list(kinds), seconds):
                    published.append(fresh("booking.confirmed", user_email=f"guest{len(published)}@example.org"))
                    place.publish(event(published[-1]))
                    time.sleep(drawn.uniform(0.3, 1.0))
                    kinds[name]()
                    faults[name] += 1
                time.sleep(0.5)
            finally:
                stopped.set()
                for thread in threads:
                    thread.join(60)
            _judge(place, provider, readers, published)
    return (
        f"{dict(faults)}; webhooks {dict(provider.outcomes)}; wishes {dict(readers.outcomes)}; mails {len(published)}"
    )


def _judge(place: Place, provider: Sender, readers: Sender, published: list[Document]) -> None:
    assert (provider.outcomes + readers.outcomes).keys() - {"200"}, "no fault was felt"
    assert provider.answered
    assert readers.answered
    bounces, wishes = set(map(_bounce_key, provider.answered)), set(map(_reader, readers.answered))

    def lost() -> list[str]:
        handled = [each for each in signals(place) if each.get("handled")]
        kept = {str(each["_id"]) for each in handled}
        heard = {str(each.get("notification_id")) for each in handled if each["kind"] == "unsubscribed"}
        return sorted((bounces - kept) | (wishes - heard))

    until(lambda: not lost(), timeout=90)
    until(lambda: place.depth(QUEUE) == 0)
    assert place.depth("notification.signals.unreadable") == 0
    ids = {each["event_id"] for each in published}
    until(lambda: {name for name, outcome in place.outcomes().items() if outcome == "sent"} >= ids, timeout=90)


def test_no_signal_is_lost_that_was_answered_200(place: Place) -> None:
    _run(place, seconds=0, seed=1)


@pytest.mark.soak
def test_no_signal_is_lost_that_was_answered_200_for_long(place: Place) -> None:
    seed = int(os.environ.get("FAULT_SEED", "2"))
    told = _run(place, seconds=float(os.environ.get("FAULT_SECONDS", "90")), seed=seed)
    sys.stdout.write(f"\nseed {seed}: {told}\n")
