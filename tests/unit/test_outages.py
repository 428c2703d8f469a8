from notification_service.foundation.outages import Outage


def test_an_outage_is_logged_every_ten_seconds_and_its_end_once() -> None:
    now = 0.0
    outage = Outage(lambda: now)
    assert not outage.ends()
    assert [outage.begins() for _ in range(3)] == [True, False, False]
    now = 10.0
    assert [outage.begins() for _ in range(3)] == [True, False, False]
    assert [outage.ends() for _ in range(3)] == [True, False, False]
    assert outage.begins()
