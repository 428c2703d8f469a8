"""The soak's own judgement, and a slice of it."""

import random
from pathlib import Path
from typing import Any

import pytest

from tests.faults.judge import Judge
from tests.faults.soak import Tally, repeatable, run, tally
from tests.samples import fresh
from tests.stack.place import Place, until
from tests.stack.proxy import Proxy

SECONDS = 12.0


def record(event_id: str, outcome: str = "sent", *, marked: bool = False) -> dict[str, Any]:
    return {
        "event_ids": [event_id],
        "outcome": outcome,
        "message_id": f"<{event_id}>",
        **({"possible_duplicate": True} if marked else {}),
    }


@pytest.mark.parametrize(
    ("records", "accepted", "lost", "inside", "outside"),
    [
        pytest.param([record("a"), record("b")], ["<a>", "<b>"], 0, 0, 0, id="well"),
        pytest.param([record("a")], ["<a>"], 1, 0, 0, id="an event without a record"),
        pytest.param([record("a"), record("b")], ["<a>"], 1, 0, 0, id="sent without a mail"),
        pytest.param([record("a"), record("b", "parked")], ["<a>"], 0, 0, 0, id="parked without a mail"),
        pytest.param([record("a"), record("b", marked=True)], ["<a>", "<b>", "<b>"], 0, 1, 0, id="twice and marked"),
        pytest.param([record("a"), record("b")], ["<a>", "<b>", "<b>"], 0, 0, 1, id="twice without a mark"),
        pytest.param([record("a"), record("b", marked=True)], ["<a>", *["<b>"] * 3], 0, 0, 1, id="three times"),
    ],
)
def test_what_is_lost_and_what_is_doubled(
    records: list[dict[str, Any]], accepted: list[str], lost: int, inside: int, outside: int
) -> None:
    found = tally({"a", "b"}, records, accepted)
    assert (found.lost, found.doubled_inside, found.doubled_outside) == (lost, inside, outside)
    assert found.broken == bool(lost or outside)


@pytest.mark.timeout(300)
def test_a_slice_of_the_soak(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    with repeatable(SECONDS, seed):
        found, soak = run(tmp_path, SECONDS, seed)
        assert not found.broken, f"I1: {found}"  # a verdict, which has no second try (tests/conftest.py)
    assert isinstance(found, Tally)
    assert soak.kills


def test_a_failure_says_how_to_run_it_again() -> None:
    with pytest.raises(AssertionError) as caught, repeatable(SECONDS, 4711):
        raise AssertionError("I1: one is lost")
    assert caught.value.__notes__ == ["again: .venv/bin/python -m tests.faults.soak --seconds 12 --seed 4711"]


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
