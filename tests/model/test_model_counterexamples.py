"""Histories that the model found to go wrong, each as short as it was found."""

from tests.model.interventions import (
    forget_and_switch,
    kill,
    lose_a_write_and_kill,
    nothing,
    play,
    promote,
    split_and_switch,
    stall,
)
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


def test_a_worker_whose_claim_came_late_does_not_send_what_another_took_over() -> None:
    """Its claim was made and the answer lost; then Redis is away when each of the two wants to mark it."""
    world = play(
        Setting(workers=2),
        ("claims.claim", lambda world: world.lose_answers("claims", 1)),
        ("smtp.rcpt", stall),
        ("claims.mark_sending", lambda world: world.claims_go_away(60)),
    )
    world.check()
    assert len(world.server.mails) == 1


def test_a_marker_that_redis_lost_with_its_worker_is_doubted() -> None:
    world = play(Setting(), ("claims.decide", lose_a_write_and_kill))
    world.check()
    assert len(world.server.mails) == 2


def test_a_resend_whose_marker_redis_lost_is_not_sent_for_the_third_time() -> None:
    world = play(
        Setting(replies=(Reply.LOST_AFTER_THE_DOT,)),
        ("ledger.take_over", nothing),
        ("claims.decide", lose_a_write_and_kill),
    )
    world.check({"unknown"})
    assert len(world.server.mails) == 2


def test_a_worker_at_a_primary_of_its_own_does_not_send_after_the_others_have() -> None:
    world = play(Setting(replies=(Reply.CLOSING,) * 7, workers=2), ("smtp.rcpt", split_and_switch))
    world.check({"sent", "unknown"})
    assert len(world.server.mails) == 1


def test_a_marker_at_a_primary_of_its_own_is_doubted_by_the_others() -> None:
    """They see its claim as it was before Redis was split; found by the torture (seed 14)."""
    world = play(Setting(workers=2), ("claims.mark_sending", promote), ("claims.decide", kill))
    world.check()
    assert len(world.server.mails) == 2


def test_a_resend_marked_at_a_primary_of_its_own_is_not_sent_for_the_third_time() -> None:
    world = play(
        Setting(replies=(Reply.LOST_AFTER_THE_DOT,), workers=2),
        ("ledger.take_over", promote),
        ("claims.decide", kill),
    )
    world.check({"unknown"})
    assert len(world.server.mails) == 2
