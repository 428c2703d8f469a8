"""W3C traceparent: https://www.w3.org/TR/trace-context/#traceparent-header."""

import pytest
from hypothesis import given, strategies as st

from notification_service.foundation.trace_context import NO_HEADERS, Trace, read

ID, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_trace_is_read_and_written() -> None:
    headers = {"traceparent": f"00-{ID}-{SPAN}-01", "tracestate": "congo=t61rcWkgMzE"}
    assert read(headers) == Trace(ID, SPAN, sampled=True, state="congo=t61rcWkgMzE")
    assert Trace(ID, SPAN, sampled=True, state="congo=t61rcWkgMzE").headers == headers


def test_a_version_to_come_is_read_by_what_is_known_of_it() -> None:
    assert read({"traceparent": f"cc-{ID}-{SPAN}-00-what-the-future-will-be"}) == Trace(ID, SPAN, sampled=False)


@pytest.mark.parametrize(
    "parent",
    [
        "",
        f"00-{ID}-{SPAN}",
        f"00-{ID}-{SPAN}-01-more",
        f"ff-{ID}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{ID}-{'0' * 16}-01",
        f"00-{ID.upper()}-{SPAN}-01",
        f"00-{ID[1:]}-{SPAN}-01",
        f" 00-{ID}-{SPAN}-01",
        f"00-{ID}-{SPAN}-01\n",
        f"00-{'٣' * 32}-{SPAN}-01",
        17,
        None,
        b"00",
    ],
)
def test_what_is_malformed_is_ignored(parent: object) -> None:
    assert read({"traceparent": parent, "tracestate": "a=b"}) is None
    assert read({"tracestate": "a=b"}) is None


@pytest.mark.parametrize("state", ["", "x" * 513, "é=1", "a=b\r\nX: y", 5])
def test_a_state_that_is_malformed_costs_only_itself(state: object) -> None:
    assert read({"traceparent": f"00-{ID}-{SPAN}-01", "tracestate": state}) == Trace(ID, SPAN, sampled=True)


@given(st.text() | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", fullmatch=True))
def test_whatever_is_read_can_be_written_and_read_again(parent: str) -> None:
    if (found := read({"traceparent": parent})) is not None:
        assert read(found.headers) == found


def test_what_takes_headers_off_names_each() -> None:
    assert dict.fromkeys(Trace(ID, SPAN, sampled=True).headers) == NO_HEADERS
