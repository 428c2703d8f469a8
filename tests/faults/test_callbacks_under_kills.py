"""Webhooks arrive while the listener, the worker and their connections are killed: nothing is lost that had its 200."""

import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import httpx
import pytest

from notification_service.contract.signals import Signal, SignalKind
from notification_service.delivery.ports.signals import key_of
from tests.e2e.test_feedback import QUEUE, SETTINGS, callbacks, signals
from tests.stack.place import Place, until
from tests.stack.processes import Part
from tests.stack.proxy import Proxy
from tests.unit.test_webhooks import NOW, basic, postmark_bounce


@dataclass
class Provider:
    """Sends one webhook after the other, each again until it has its 200 or has been refused five times."""

    port: str
    answered: set[int] = field(default_factory=set)
    unanswered: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        number = 0
        while not self.stopped.is_set():
            number += 1
            if any(self._post(number) for _ in range(5)):
                self.answered.add(number)

    def _post(self, number: int) -> bool:
        body = {**postmark_bounce("HardBounce", "smtp;550 5.1.1 unknown"), "ID": number}
        try:
            answer = httpx.post(f"http://127.0.0.1:{self.port}/cb/postmark", json=body, headers=basic(), timeout=10)
        except httpx.HTTPError:
            self.unanswered += 1
            time.sleep(0.2)
            return False
        if answer.status_code != 200:
            self.unanswered += 1
            time.sleep(0.1)
        return answer.status_code == 200


def _killed(part: Part) -> None:
    part.kill()
    part.start()
    part.wait_ready()


def _run(place: Place, rounds: int, seed: int) -> None:
    drawn = random.Random(seed)  # noqa: S311 - no secret
    with Proxy(place.stack.broker.port) as proxy:
        through = re.sub(r":\d+/", f":{proxy.port}/", place.amqp_url)
        listener = callbacks(place, RABBITMQ_URL=through)
        worker = place.service(**SETTINGS, RABBITMQ_URL=through)
        with listener, worker:
            provider = Provider(listener.environment()["CALLBACK_PORT"])
            sending = threading.Thread(target=provider.run)
            sending.start()
            faults: list[Callable[[], None]] = [partial(_killed, listener), partial(_killed, worker), proxy.cut]
            try:
                for fault in (each for _ in range(rounds) for each in drawn.sample(faults, len(faults))):
                    time.sleep(drawn.uniform(0.3, 1.0))
                    fault()
                time.sleep(0.5)
            finally:
                provider.stopped.set()
                sending.join(60)
            assert provider.unanswered, "no fault was felt"
            assert provider.answered
            expected = {_key(number) for number in provider.answered}
            until(lambda: expected <= {each["_id"] for each in signals(place) if each.get("handled")})
            until(lambda: place.depth(QUEUE) == 0)
            assert place.depth("notification.signals.unreadable") == 0


def _key(number: int) -> str:
    return key_of(Signal(source="postmark", source_id=f"bounce.{number}", kind=SignalKind.BOUNCED, at=NOW))


def test_no_signal_is_lost_that_was_answered_200(place: Place) -> None:
    _run(place, rounds=1, seed=1)


@pytest.mark.soak
@pytest.mark.parametrize("seed", [2, 3, 4])
def test_no_signal_is_lost_that_was_answered_200_for_long(place: Place, seed: int) -> None:
    _run(place, rounds=30, seed=seed)
