"""A copy in a retry queue is the same event as its original."""

from tests.samples import fresh
from tests.stack.place import Place, until
from tests.stack.publisher import event
from tests.stack.smtp_rules import Rule


def test_an_event_without_any_id_stays_one_notification_through_its_retries(place: Place) -> None:
    nameless = fresh("payment.failed", event_id=None, transaction_id=None)
    place.smtp.script([Rule(at="rcpt", reply="450 4.2.1 busy", times=2)])
    with place.service():
        place.publish(event(nameless))
        until(lambda: [record["outcome"] for record in place.records()] == ["sent"])
    assert len(place.mails()) == 1
