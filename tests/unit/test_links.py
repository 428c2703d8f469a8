"""Only plain https links to allowed hosts get into a mail."""

import posixpath
import re
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import given, strategies as st

from notification_service.content.links import LinkPatterns, check_link, for_event, refusal
from notification_service.contract.events import parse
from notification_service.contract.remarks import Remark

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
        "https:\\pay.example",
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
    found, remarks = for_event(event, LinkPatterns(hosts=HOSTS, retry="https://pay.example/{booking_id}"))
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
    found, _ = for_event(event, LinkPatterns(booking="https://tickets.example/b/{booking_id}/open"))
    assert found.booking is None or refusal(found.booking, {"tickets.example"}) is None
    if event.booking_id is None or event.booking_id.isalnum():
        assert (found.booking is None) == (event.booking_id is None)


CLIMBING = [
    *("..", ".", "%2e%2e", "%2E.", "%252e%252e", ".%25252e", "../../admin", "a/../../admin", "a/..", "/..", "./"),
    *(
        "..\\admin",
        "..%5Cadmin",
        "..;",
        "..;jsessionid=1",
        "..%3B/x",
        "a%2F..%2F..",
        "..?x",
        "..#x",
        ".. ",
        "..%00",
        "..%09",
    ),
]


@pytest.mark.parametrize("booking_id", CLIMBING)
def test_an_id_that_climbs_makes_no_link(booking_id: str) -> None:
    event = parse({"booking_id": booking_id}, "booking.confirmed")
    assert event is not None
    found, _ = for_event(
        event, LinkPatterns(booking="https://tickets.example/b/{booking_id}", support="https://t.example/")
    )
    assert (found.booking, found.support) == (None, "https://t.example/")


@pytest.mark.parametrize("booking_id", ["...", "..a", "a..", ".a", "a;b", "a/b", "a%2Fb", "50%", "%", "a.b", "a-", "é"])
def test_any_other_id_does(booking_id: str) -> None:
    event = parse({"booking_id": booking_id}, "booking.confirmed")
    assert event is not None
    found, _ = for_event(event, LinkPatterns(booking="https://tickets.example/b/{booking_id}"))
    assert found.booking == f"https://tickets.example/b/{quote(booking_id, safe='')}"


def test_an_id_that_climbs_only_with_what_stands_beside_it_makes_none_either() -> None:
    event = parse({"booking_id": "."}, "booking.confirmed")
    assert event is not None
    found, _ = for_event(event, LinkPatterns(booking="https://tickets.example/b/.{booking_id}/x"))
    assert found.booking is None


@given(st.lists(st.sampled_from([".", "..", "/", "\\", "%2e", "%2F", "%5c", "%25", ";", "a"]), min_size=1, max_size=8))
def test_no_server_finds_its_way_up(parts: list[str]) -> None:
    event = parse({"booking_id": "".join(parts)}, "booking.confirmed")
    assert event is not None
    found, _ = for_event(event, LinkPatterns(booking="https://tickets.example/a/b/{booking_id}"))
    path = urlsplit(found.booking or "https://tickets.example/a/b/").path
    for _ in range(5):
        assert posixpath.normpath(re.sub(r";[^/]*", "", path.replace("\\", "/"))).startswith("/a/b")
        path = unquote(path)


@given(st.text(st.sampled_from("aZ09_-~%/. é"), min_size=1))
def test_a_booking_stands_in_its_link_encoded_whatever_it_is(booking_id: str) -> None:
    event = parse({"booking_id": f"B{booking_id}"}, "booking.confirmed")
    assert event is not None
    assert event.booking_id is not None
    found, _ = for_event(event, LinkPatterns(booking="https://tickets.example/b/{booking_id}"))
    assert found.booking in (None, f"https://tickets.example/b/{quote(event.booking_id, safe='')}")
    assert found.booking or "/" in booking_id


def test_a_way_without_a_booking_in_it_needs_none() -> None:
    event = parse({}, "booking.confirmed")
    assert event is not None
    found, _ = for_event(
        event, LinkPatterns(booking="https://tickets.example/{booking_id}", support="https://tickets.example")
    )
    assert (found.booking, found.support) == (None, "https://tickets.example")


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            "http://pay.example/",
            "pay",
            "https://user@pay.example",
            "https://pay.example:1/",
            "https:///foo",
            "https://",
        ),
        *(
            "https:/pay.example/",
            "https:pay.example",
            "https://:443/",
            "https://pay.example:99999/",
            "https://pay.example:x",
        ),
        *(
            "https://@pay.example/",
            "https://u:p@pay.example/",
            "https://pay.example /",
            "https://pay .example/",
            "https://[",
        ),
        *(
            "https://pay.example\\@evil.example/",
            "https://pay.example/\t",
            "https://..",
            "https://a..b/",
            "https://pay%2eexample/",
        ),
        *("https://{booking_id}.example/", "https://{booking_id}/", "https://{booking_id}", "https://pay.example/../x"),
        *(
            "https://pay.example/a/%2e%2e/{booking_id}",
            "//pay.example/",
            "https://?x",
            "https://#x",
            "ftp://pay.example/",
        ),
    ],
)
def test_a_setting_that_is_no_plain_link_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="no link that a mail may carry"):
        check_link(pattern)
    assert check_link("https://pay.example/{booking_id}") == "https://pay.example/{booking_id}"
