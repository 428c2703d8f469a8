"""Messages that are bad in themselves: unreadable ones, one that kills its worker, and facts told more than once."""

import pytest

from tests.faults.judge import Judge
from tests.faults.worker import Worker
from tests.samples import fresh
from tests.stack.place import Place, until

PATIENCE = 90


@pytest.mark.timeout(240)
def test_row_43_one_message_kills_its_worker_and_fifty_good_ones_wait_behind_it(place: Place) -> None:
    judge = Judge(place)
    killer = fresh("booking.confirmed")
    good = [fresh("booking.confirmed") for _ in range(50)]
    deaths = 0

    with Worker(
        place.folder / "worker", place.environment(KILLED_BY=killer["booking_id"], LEASE_SECONDS="2")
    ) as worker:

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
