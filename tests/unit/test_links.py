"""Only a plain https link to a host that we named gets into a mail."""

import pytest
from hypothesis import given, strategies as st

from notification_service.events import parse
from notification_service.links import Ways, check_link, for_event, refusal
from notification_service.remarks import Remark

HOSTS = {"pay.example", "tickets.example"}


@pytest.mark.parametrize(
    "url",
    [
        "https://pay.example/retry?booking=1&t=a%20b#top",
        "https://tickets.example",
        "https://pay.example:443/retry",
        "https://PAY.example/retry",
        "HTTPS://pay.example/retry",
    ],
)
def test_a_link_to_one_of_our_hosts_is_kept_as_it_is(url: str) -> None:
    assert refusal(url, HOSTS) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)//https://pay.example/",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x",
        "file:///etc/passwd",
        "http://pay.example/retry",
        "ftp://pay.example/",
        "//pay.example/retry",
        "/retry",
        "pay.example/retry",
        "https:pay.example",
        "https:/pay.example",
        "https:///pay.example",
        "https:\\\\pay.example",
        "https://pay.example\\@evil.example/",
        "https://evil.example\\.pay.example/",
        "https://user@pay.example/",
        "https://user:word@pay.example/",
        "https://@pay.example/",
        "https://pay.example@evil.example/",
        "https://evil.example/pay.example",
        "https://evil.example?pay.example",
        "https://evil.example#pay.example",
        "https://pay.example.evil.example/",
        "https://evilpay.example/",
        "https://sub.pay.example/",
        "https://pay.example./",
        "https://pаy.example/",  # noqa: RUF001 - a Cyrillic letter: that is the point
        "https://pay。example/",
        "https://xn--py-6kc.example/",
        "https://pay.example:8443/",
        "https://pay.example:x/",
        "https://pay.example:99999/",
        "https://[::1]/",
        "https://[pay.example/",
        "https://169.254.169.254/latest/meta-data",
        "https://127.0.0.1/",
        "https://pay.example/\r\nBcc: eve@evil.example",
        "https://pay.example/\0",
        "https://pay.example/a b",
        "https://pay.example/\u202egpj",
        " https://pay.example/",
        "\thttps://pay.example/",
        "https://pay.example/" + "a" * 2000,
    ],
)
def test_any_other_link_is_refused_with_the_reason(url: str) -> None:
    assert refusal(url, HOSTS)


def test_a_refused_link_gives_way_to_that_of_the_setting_and_is_remarked() -> None:
    event = parse({"booking_id": "B 1", "retry_url": "https://evil.example/"}, "payment.failed")
    assert event is not None
    found, remarks = for_event(event, Ways(hosts=HOSTS, retry="https://pay.example/{booking_id}"))
    assert found.retry == "https://pay.example/B%201"
    assert remarks == [Remark("retry_url", "is left out: LINK_HOSTS does not name its host")]


def test_without_hosts_no_link_is_allowed() -> None:
    assert refusal("https://pay.example/", ()) == "LINK_HOSTS does not name its host"


@given(st.text(max_size=60).map("https://{}".format) | st.text(max_size=60))
def test_no_text_raises_or_leads_elsewhere(url: str) -> None:
    refusal(url, HOSTS)
    assert refusal(url, {"no-such-host.example"})


@given(st.text(max_size=60))
def test_no_booking_id_leads_elsewhere(booking_id: str) -> None:
    event = parse({"booking_id": booking_id}, "booking.confirmed")
    assert event is not None
    found, _ = for_event(event, Ways(booking="https://tickets.example/b/{booking_id}/open"))
    assert found.booking is None or refusal(found.booking, {"tickets.example"}) is None
    assert (found.booking is None) == (event.booking_id is None)


def test_a_way_without_a_booking_in_it_needs_none() -> None:
    event = parse({}, "booking.confirmed")
    assert event is not None
    found, _ = for_event(event, Ways(booking="https://tickets.example/{booking_id}", support="https://tickets.example"))
    assert (found.booking, found.support) == (None, "https://tickets.example")


@pytest.mark.parametrize(
    "pattern", ["http://pay.example/", "pay", "https://user@pay.example", "https://pay.example:1/"]
)
def test_a_setting_that_is_no_plain_link_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="no link that a mail may carry"):
        check_link(pattern)
    assert check_link("https://pay.example/{booking_id}") == "https://pay.example/{booking_id}"
