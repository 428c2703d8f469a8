"""Push beside e-mail on the real parts: what a service says of a device is remembered, by every worker."""

from functools import partial
from pathlib import Path

from tests.e2e.test_retention import cli
from tests.e2e.test_sms import outcomes, records
from tests.samples import fresh
from tests.stack.inspection import end_well
from tests.stack.place import Document, Place, until
from tests.stack.publisher import event
from tests.stack.push_double import PushDouble
from tests.stack.push_services import fcm_error

PATIENCE = 60
GONE, ALIVE = f"fcm-token-gone:{'g' * 100}1", f"fcm-token-alive:{'a' * 100}1"


def is_sent(place: Place, event_id: str) -> bool:
    return all(outcomes(place, channel).get(event_id) == "sent" for channel in ("push", "email"))


def results(record: Document) -> list[str]:
    """What came of each device that was tried."""
    return [each["result"] for each in record["attempts"] if each.get("device")]


def test_a_dead_device_is_left_out_by_the_next_worker_and_its_token_is_nowhere(place: Place, tmp_path: Path) -> None:
    first, second = (fresh("booking.cancelled") for _ in range(2))
    place.database["users"].insert_one({"_id": "owner", "email": "o@guests.example", "device_tokens": [GONE, ALIVE]})
    for each in (first, second):
        each["user_id"] = "owner"
    with PushDouble(tmp_path / "push", drop_every=10**6, seconds=0) as double:
        double.services.says[GONE] = fcm_error(404, "UNREGISTERED")
        changes = {**double.environment, "SUPPRESSION": "true", "PUSH_MAX_PER_MINUTE": "600"}
        logs = []
        for data in (first, second):
            with place.service(**changes) as worker:
                place.publish(event(data))
                until(partial(is_sent, place, data["event_id"]), timeout=PATIENCE)
                end_well(worker)
            logs.append(worker.log.read_text("utf-8"))
        assert double.services.faults == []
    tried = records(place, "push")
    assert results(tried[first["event_id"]]) == ["refused", "accepted"]
    assert results(tried[second["event_id"]]) == ["accepted"]
    (remark,) = tried[second["event_id"]]["remarks"]
    assert "1 of 2 on the list of suppressions (gone, told by sending 404" in remark
    told = cli(place, "suppressions", "show", "--address", GONE).stdout
    assert "push " in told
    assert "UNREGISTERED" in told
    assert "nothing is known" in cli(place, "suppressions", "show", "--address", ALIVE).stdout
    kept = str([*tried.values(), *place.database["notification_suppressions"].find({})])
    for token in (GONE, ALIVE):
        assert token not in kept
        assert not any(token in log for log in logs)
