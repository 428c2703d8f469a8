"""The soak's own judgement, and a slice of it."""

import random
from pathlib import Path
from typing import Any

import pytest

from tests.faults.soak import Tally, run, tally

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
    found, soak = run(tmp_path, SECONDS, seed=random.SystemRandom().randrange(10**6))
    assert not found.broken, found
    assert isinstance(found, Tally)
    assert soak.kills
