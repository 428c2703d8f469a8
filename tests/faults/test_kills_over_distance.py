"""Workers killed at random while the mail server is 40 ms away, and mails ride behind each other's content."""

import os
import random
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.faults.judge import Judge
from tests.samples import fresh
from tests.stack.local import LocalStack
from tests.stack.place import Place, until
from tests.stack.proxy import Proxy
from tests.stack.smtp import SmtpServer
from tests.stack.warm import Warm, WarmService

WORKERS = 3
"""One may be starting while another is killed; a third one sends."""
EVENTS_A_KILL = 12
ONE_WAY = 0.02
FEW = 4


@pytest.fixture
def far_place(stack: LocalStack, tmp_path: Path, warm: Warm) -> Iterator[Place]:
    with SmtpServer(tmp_path / "smtp", chunking=True) as smtp:
        place = Place(stack, tmp_path / "place", smtp, start=partial(WarmService, warm))
        yield place
        place.close()


@pytest.mark.timeout(120)
def test_a_few_kills_over_distance_lose_nothing_and_mark_what_they_double(far_place: Place) -> None:
    _kill_at_random(far_place, FEW)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_kills_over_distance_lose_nothing_and_mark_what_they_double(far_place: Place) -> None:
    assert _kill_at_random(far_place, int(os.environ.get("FAULT_KILLS", "300"))), (
        "no kill met a worker while it was sending: this run has proved nothing"
    )


def _kill_at_random(place: Place, kills: int) -> int:
    """Returns how many mails were marked as possible duplicates."""
    seed = int(os.environ.get("FAULT_SEED", secrets.randbelow(10**6)))
    sys.stdout.write(f"FAULT_SEED={seed}\n")
    dice = random.Random(seed)  # noqa: S311 - it has to be repeatable
    judge = Judge(place)
    with Proxy(place.smtp.port) as proxy, ExitStack() as stack:
        proxy.latency = ONE_WAY
        settings = {"LEASE_SECONDS": "2", "SMTP_POOL_SIZE": "2", "SMTP_PORT": str(proxy.port)}
        workers = [stack.enter_context(place.service(**settings)) for _ in range(WORKERS)]
        starting = workers[0]
        for _ in range(kills):
            judge.publish(*(fresh("booking.confirmed") for _ in range(EVENTS_A_KILL)))
            time.sleep(dice.uniform(0.1, 0.5))  # the moment of the kill
            victim = dice.choice([each for each in workers if each is not starting])
            victim.kill()
            victim.start()
            # The one before has been coming up meanwhile: most of the time goes by there.
            starting.wait_ready()
            starting = victim
        starting.wait_ready()
        until(judge.at_rest, timeout=300)
        for worker in workers:
            worker.terminate()
        for worker in workers:
            until(lambda worker=worker: worker.exit_code == "0", timeout=60)  # type: ignore[misc]
    found = judge.verdict()
    assert len(found) == kills * EVENTS_A_KILL
    marked = sum(each.marked for each in found.values())
    twice = sum(len(each.mails) == 2 for each in found.values())
    counts = place.smtp.stats().counts
    assert counts["bdat"] >= len(found)
    sys.stdout.write(
        f"{kills} kills, {len(found)} events: {marked} marked, {twice} sent twice, {counts['bdat']} by BDAT\n"
    )
    return marked
