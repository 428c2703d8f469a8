"""Histories that the model found to go wrong, each as short as it was found."""

from tests.model.interventions import forget_and_switch, nothing, play, stall
from tests.model.smtp import Reply
from tests.model.world import Setting

RESURRECTED = (
    "a stale worker's sending marker makes a claim anew that is gone: books.mark_sending does not say it had one"
)
UNFENCED = "a stale worker takes the entry over from the one that is sending, and then says that nothing went out"


def test_a_stale_worker_does_not_mark_a_claim_that_redis_forgot() -> None:
    world = play(
        Setting(workers=2),
        ("claims.mark_sending", stall),
        ("smtp.data", forget_and_switch),
    )
    world.check({"sent", "unknown"})


def test_held_mail_goes_out_once_when_a_stale_worker_finds_its_claim_forgotten() -> None:
    world = play(
        Setting(workers=2, hold=True),
        ("claims.mark_sending", stall),
        ("smtp.data", forget_and_switch),
    )
    world.check({"sent", "unknown"})


def test_a_stale_worker_does_not_take_over_from_one_that_is_sending() -> None:
    world = play(
        Setting(replies=(Reply.LATER_AFTER_DATA,), workers=2),
        ("ledger.take_over", stall),
        ("smtp.data", stall),
    )
    world.check({"sent", "unknown"})


def test_a_stale_worker_does_not_hide_that_a_resend_is_in_doubt() -> None:
    world = play(
        Setting(replies=(Reply.LOST_AFTER_THE_DOT,), workers=2),
        ("ledger.note_attempt", nothing),
        ("ledger.open", stall),
        ("smtp.data", stall),
    )
    world.check({"sent", "unknown"})
