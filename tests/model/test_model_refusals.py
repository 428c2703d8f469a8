"""A broker that takes no copy of anything: each event ends in its record, whoever dies when, and nothing is doubled."""

from dataclasses import replace

import pytest

from tests.model.smtp import Reply
from tests.model.test_model_crashes import (
    SCRIPTS,
    Aftermath,
    Killer,
    every_crash,
    named,
    nothing_more,
    redis_forgets,
    run,
    settings,
)

OUTCOMES = {"sent", "parked", "unknown"}
"""Parked where it would have had to wait; unknown where a person decides, or where the second try was lost as well."""


@pytest.mark.parametrize(
    ("script", "outcome"),
    [((), "sent"), ((Reply.LATER,), "sent"), ((Reply.LATER, Reply.LATER), "parked")],
    ids=named,
)
def test_it_is_tried_once_more_in_hand(script: tuple[Reply, ...], outcome: str) -> None:
    for setting in settings(script, fine=True):
        run(replace(setting, refusing=True), Killer((), nothing_more)).check({outcome})


@pytest.mark.parametrize("then", [nothing_more, redis_forgets], ids=named)
@pytest.mark.parametrize("script", [*SCRIPTS, (Reply.LATER, Reply.LATER)], ids=named)
def test_killed_at_each_step(script: tuple[Reply, ...], then: Aftermath) -> None:
    for setting in settings(script, fine=False):
        for world in every_crash(replace(setting, refusing=True), then):
            world.check(OUTCOMES)
