"""Messages that are bad in themselves: unreadable ones, one that kills its worker, and facts told more than once."""

from pathlib import Path

import pytest

from tests.faults.judge import Judge
from tests.faults.worker import crashing
from tests.samples import fresh
from tests.stack.place import Place, Service, until
from tests.stack.publisher import Publication, event

PATIENCE = 90
MIB = 2**20
LARGEST, AT_ONCE = 20 * MIB, 1
"""Bytes of a huge event, where the broker takes so many: RabbitMQ 4 as installed takes no more than 16 MiB."""
BAD = {
    "not json": (b"{'event_type': 'booking.confirmed'", "not_json"),
    "a NaN": (b'{"event_type": "booking.confirmed", "booking_id": "B", "total_amount": NaN}', "not_json"),
    "deep": (b'{"a":' * 100_000, "too_large"),
    "deep and short": (b'{"a":' * 40_000, "not_json"),
    "wrong types": (b'{"event_type": "booking.confirmed", "booking_id": {"a": 1}, "seats": "A1"}', "schema"),
}


def test_bad_bytes_are_recorded_and_parked_and_memory_stays_flat(place: Place) -> None:
    good = [fresh("booking.confirmed") for _ in range(20)]
    strangers = [Publication("booking.pending_payment", b'{"event_type": "booking.pending_payment"}', "stranger")]
    largest = min(LARGEST, place.stack.broker.largest_message - MIB)
    all_bad = BAD | {f"huge {number}": (b"%d" % number + b"x" * largest, "too_large") for number in range(12)}
    bad = [Publication("booking.confirmed", body, name) for name, (body, _) in all_bad.items()]
    mixed = [*map(event, good[:10]), *bad, *strangers, *map(event, good[10:])]
    with place.service(RABBITMQ_PREFETCH=str(AT_ONCE)) as service:
        before = _most_memory(service)
        place.publish(*mixed)
        until(lambda: len(place.outcomes()) == len(good) + len(all_bad), timeout=PATIENCE)
        until(lambda: all(outcome in {"sent", "rejected"} for outcome in place.outcomes().values()), timeout=PATIENCE)
        until(lambda: place.depth("notification.parked") == len(all_bad), timeout=PATIENCE)
        # What comes in is in memory about four times, for the queue's prefetch and the one that goes out; not all 12.
        assert (_most_memory(service) - before) / largest < 4 * (AT_ONCE + 1)
        assert not service.said("job.failed")
    assert len(place.mails()) == len(good)
    for name, (_, reason) in all_bad.items():
        record = place.record(name)
        assert record is not None, name
        assert (record["outcome"], record["reason"]) == ("rejected", reason)
        assert len(str(record["event_data"])) < 2000
    assert place.record("stranger") is None


def _most_memory(service: Service) -> int:
    """The most bytes that the process has held in memory so far."""
    lines = Path(f"/proc/{service.pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def test_cancelled_before_confirmed_one_id_five_times_two_ids_for_one_fact(place: Place) -> None:
    judge = Judge(place)
    cancelled = fresh("booking.cancelled")
    confirmed_late = fresh("booking.confirmed", booking_id=cancelled["booking_id"])
    five_times = fresh("booking.confirmed")
    paid = fresh("payment.success", user_id="user456")
    paid_again = {**paid, "event_id": f"{paid['event_id']}-browser"}
    with place.service() as service:
        judge.publish(cancelled)
        until(judge.at_rest, timeout=PATIENCE)
        judge.publish(confirmed_late, *[five_times] * 5, paid, paid_again)
        until(judge.at_rest, timeout=PATIENCE)
        service.terminate()
        until(lambda: service.exit_code == "0", timeout=PATIENCE)
    found = judge.verdict()
    late = found[confirmed_late["event_id"]]
    assert (late.record["outcome"], late.record["reason"], late.mails) == ("skipped", "superseded", [])
    for each in (cancelled, five_times, paid, paid_again):
        assert len(found[each["event_id"]].mails) == 1
    assert found[paid["event_id"]].record["_id"] == found[paid_again["event_id"]].record["_id"]
    assert len(place.mails()) == 3


@pytest.mark.timeout(240)
def test_one_message_kills_its_worker_and_fifty_good_ones_wait_behind_it(place: Place) -> None:
    judge = Judge(place)
    killer = fresh("booking.confirmed")
    good = [fresh("booking.confirmed") for _ in range(50)]
    deaths = 0

    with crashing(place, KILLED_BY=killer["booking_id"]) as worker:

        def at_rest() -> bool:
            nonlocal deaths
            if worker.exit_code is not None:
                deaths += 1
                worker.start()
            return judge.at_rest()

        judge.publish(killer, *good)
        until(at_rest, timeout=PATIENCE * 2)
        worker.terminate()
        until(lambda: worker.exit_code == "0", timeout=PATIENCE)
    found = judge.verdict()
    ended = found.pop(killer["event_id"])
    assert (ended.record["outcome"], ended.record["reason"], ended.mails) == ("parked", "crashed_workers", [])
    assert len(found) == 50
    assert all(each.record["outcome"] == "sent" for each in found.values())
    assert 4 <= deaths <= 6
