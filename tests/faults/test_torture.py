"""A slice of the torture, and that what goes wrong in it is told with all that is known of it."""

import random
from pathlib import Path

import pytest

from tests.faults.checker import Account
from tests.faults.judge import Judge
from tests.faults.torture import Stop, repeatable, run
from tests.samples import fresh
from tests.stack.place import Place, until
from tests.stack.proxy import Proxy

SLICE = Stop(seconds=12)


@pytest.mark.timeout(300)
def test_a_slice_of_the_torture(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    with repeatable(SLICE, seed):
        found, torture = run(tmp_path, SLICE, seed)
        # A verdict, which has no second try (tests/conftest.py).
        assert not found.broken, f"I1: {found}: {[*map(str, found.findings)]}"
    assert isinstance(found, Account)
    assert torture.kills


def test_a_failure_says_how_to_run_it_again() -> None:
    with pytest.raises(AssertionError) as caught, repeatable(SLICE, 4711):
        raise AssertionError("I1: one is lost")
    assert caught.value.__notes__ == ["again: .venv/bin/python -m tests.faults.torture --seconds 12 --seed 4711"]


def test_a_place_is_at_rest_only_while_every_service_in_it_consumes(place: Place) -> None:
    """What the judge sees when a broker has just come back: no record open, every queue empty, nobody there."""
    judge = Judge(place)
    with Proxy(place.stack.broker.port) as proxy:
        cut_off = place.amqp_url.replace(str(place.stack.broker.port), str(proxy.port))
        with place.service(), place.service(RABBITMQ_URL=cut_off) as held:
            judge.publish(fresh("booking.confirmed"))
            until(judge.at_rest)
            proxy.refuse()
            until(lambda: not held.consumes)
            assert not judge.at_rest()
            proxy.flow()
            until(judge.at_rest)
