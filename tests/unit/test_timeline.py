from datetime import UTC, datetime, timedelta

from notification_service.records.timeline import Moment, current_outcome, moments

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def after(seconds: int) -> datetime:
    return AT + timedelta(seconds=seconds)


def test_each_attempt_and_each_end_is_told_in_its_order_with_the_words_of_the_server() -> None:
    record = {
        "_id": "n",
        "event_type": "booking.confirmed",
        "created_at": AT,
        "attempts": [
            {"at": after(40), "result": "accepted", "duration_ms": 12.4, "code": 250, "reply": "250 2.0.0 Ok: 7"},
            {"at": after(1), "result": "deferred", "duration_ms": 9.8, "code": 451, "reply": "busy", "connection": "3"},
        ],
        "history": [{"outcome": "parked", "reason": "retries_exhausted", "detail": "busy", "updated_at": after(30)}],
        "outcome": "sent",
        "status": "sent",
        "possible_duplicate": True,
        "updated_at": after(41),
    }
    assert moments(record) == [
        Moment(AT, "created", "for booking.confirmed"),
        Moment(after(1), "deferred", "451 busy · after 10 ms · connection 3", "attempt"),
        Moment(after(30), "reopened", "it was parked: retries_exhausted; busy"),
        Moment(after(40), "accepted", "250 2.0.0 Ok: 7 · after 12 ms", "attempt"),
        Moment(after(41), "sent", "it may have been sent twice", "outcome"),
    ]


def test_what_was_learnt_later_is_told_in_words_and_without_a_digest() -> None:
    learnt = [
        {"at": after(50), "kind": "bounced", "source": "ses", "code": "5.1.1", "detail": "unknown user"},
        {"at": after(60), "kind": "clicked", "source": "link", "extra": {"link": "support", "class": "person"}},
        {"at": after(61), "kind": "clicked", "source": "link", "extra": {"class": "machine", "why": "robot"}},
        {"at": after(70), "kind": "unsubscribed", "source": "link", "extra": {"address_digest": "f" * 32}},
    ]
    told = moments({"created_at": AT, "outcome": "sent", "updated_at": after(41), "signals": learnt})
    assert [each.detail for each in told if each.kind == "signal"] == [
        "5.1.1 · unknown user · by ses",
        "the link support · a person · by a link of the mail",
        "a machine · robot · by a link of the mail",
        "by a link of the mail",
    ]


def test_the_attempt_of_a_worker_that_was_lost_names_its_mail_server_and_no_duration() -> None:
    lost = {
        "at": after(3),
        "result": "in_doubt",
        "duration_ms": 0,
        "code": None,
        "reply": "it was lost",
        "relay": "smtp",
    }
    told = moments({"created_at": AT, "outcome": "pending", "updated_at": AT, "attempts": [lost]})
    assert told[1] == Moment(after(3), "in_doubt", "it was lost · relay smtp", "attempt")


def test_what_waits_says_when_it_is_tried_next() -> None:
    told = moments({"created_at": AT, "outcome": "waiting", "reason": "busy", "updated_at": AT, "due_at": after(60)})
    assert told[1:] == [Moment(AT, "waiting", "busy", "outcome"), Moment(after(60), "next try")]


def test_what_is_under_way_has_no_end_yet() -> None:
    assert [each.what for each in moments({"created_at": AT, "outcome": "pending", "updated_at": AT})] == ["created"]


def test_a_record_of_any_shape_is_told() -> None:
    strange = {
        "attempts": [None, 3, {"result": 5, "duration_ms": "long"}],
        "history": "none",
        "created_at": "yesterday",
    }
    assert {each.what for each in moments(strange)} == {"created", "5", "unreadable"}
    assert current_outcome({"status": "sent"}) == "sent"
