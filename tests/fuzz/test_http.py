"""Any request at all, to the running service: no 500, no traceback, nothing moved, and it goes on answering.

FUZZ_TIMES=20 looks twenty times as long.
"""

import contextlib
import re
import socket
from collections.abc import Iterator
from typing import Any, cast

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings as looks, strategies as st
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.console import scene
from tests.fuzz import openapi
from tests.fuzzing import examples
from tests.stack.local import LocalStack
from tests.stack.place import Place, Service

OURS: list[CheckFunction] = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
SAYS = ("x-content-type-options", "cache-control", "content-security-policy", "referrer-policy")


@pytest.fixture(scope="module")
def service(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """With a record of each kind. After all that was tried it still answers, moved nothing and complains of nothing."""
    place = Place(stack, tmp_path_factory.mktemp("http"))
    with place.service(**scene.SETTINGS) as running:
        scene.fill(place)
        moved = place.records()
        yield running
        assert [line for line in running.lines() if line["level"] == "error" or "exception" in line] == []
        assert place.records() == moved
        assert httpx.get(f"http://127.0.0.1:{running.port}/livez").status_code == 200
    place.close()


@pytest.fixture(scope="module")
def session(service: Service) -> dict[str, str]:
    """The cookies of somebody who has signed in."""
    here = f"http://127.0.0.1:{service.console_port}"
    with httpx.Client(base_url=here) as client:
        assert client.post("/console/login", data={"token": scene.TOKEN}).status_code == 303
        return dict(client.cookies)


@pytest.fixture(scope="module")
def csrf_token(service: Service, session: dict[str, str]) -> str:
    page = httpx.get(f"http://127.0.0.1:{service.console_port}/console/waiting", cookies=session).text
    found = re.search(r'name="csrf_token" value="(\w+)"', page)
    assert found is not None
    return found[1]


# ── what a description allows, and what it does not ──────────────────────────────────────────────────
def _tried(document: openapi.Document, port: int, cookies: dict[str, str]) -> None:
    schema = schemathesis.openapi.from_dict(document)
    for operation in schema.get_all_operations():
        _try(cast("Any", operation).ok(), f"http://127.0.0.1:{port}", cookies)


def _try(operation: Any, address: str, cookies: dict[str, str]) -> None:  # noqa: ANN401 - has no public type
    @looks(max_examples=examples(25), deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def tried(case: Any) -> None:  # noqa: ANN401 - likewise
        answer = case.call(base_url=address, cookies=cookies, allow_redirects=False, timeout=20)
        case.validate_response(answer, checks=OURS)
        assert not [name for name in SAYS if name not in answer.headers]
        assert "Traceback" not in answer.text

    tried()


def test_the_health_paths_answer_as_they_are_described(service: Service) -> None:
    _tried(openapi.health(), service.port, {})


def test_the_console_answers_as_it_is_described(service: Service, session: dict[str, str], csrf_token: str) -> None:
    _tried(openapi.console(csrf_token), service.console_port, session)


# ── what is hardly a request ─────────────────────────────────────────────────────────────────────────
METHODS = st.sampled_from([*b"GET POST HEAD OPTIONS TRACE PUT CONNECT get".split(), b"", b"\x00"])
PIECES = st.sampled_from(
    [
        *rb"/ // /.. /%2e%2e %2f %252f %00 %ff % ? # ; \ * @ http://evil.example http://[ ?after=0001".split(),
        *b"console /console/ login waiting console.css parked gallery/ notifications/ livez metrics".split(),
        *(b"\xc3\xa9", b"\x7f"),
    ]
)
TARGETS = st.lists(PIECES, max_size=6).map(b"".join)
VERSIONS = st.sampled_from([*b"HTTP/1.1 HTTP/1.0 HTTP/2 HTTP/0.9 http/1.1".split(), b""])
VALUES = st.sampled_from(
    [
        *b"x [ http://[ a:b null -1 0 chunked gzip 100-continue websocket upgrade close same-origin bytes=0-1".split(),
        *b"notification_console a=b;c application/x-www-form-urlencoded multipart/form-data 1.2.3.4,<b>".split(),
        *(b"", b"9" * 30, b"\xff\xfe", b"\x00", b"a" * 20_000),
    ]
)
NAMES = st.sampled_from(
    [
        *b"Host Origin Cookie Content-Length Transfer-Encoding Connection Upgrade Expect Sec-Fetch-Site".split(),
        *b"X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto Forwarded Content-Type Range".split(),
        *b"X-HTTP-Method-Override X-Original-URL".split(),
        *(b"", b" ", b"\x00"),
    ]
)
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=5)
BODIES = (
    st.sampled_from([b"", b"token=x", b"5\r\ntoken\r\n0\r\n\r\n", b"ZZ\r\n", b"\x00" * 50, b"=&" * 200]) | st.binary()
)
BREAKS = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r"])


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Mostly near enough to a request to be read far."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(min_size=1, max_size=300))
    end = draw(BREAKS)
    headers = [b"Host: x", *(name + b": " + value for name, value in draw(HEADERS))]
    line = b" ".join((draw(METHODS), draw(TARGETS), draw(VERSIONS)))
    return end.join((line, *headers[draw(st.integers(0, 1)) :], b"", draw(BODIES)))


@looks(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(requests(), min_size=1, max_size=3).map(b"".join), signed_in=st.booleans(), metrics=st.booleans())
def test_no_bytes_are_answered_with_an_error_of_ours(
    service: Service, session: dict[str, str], sent: bytes, *, signed_in: bool, metrics: bool
) -> None:
    if signed_in:
        cookie = "; ".join(f"{name}={value}" for name, value in session.items())
        sent = sent.replace(b"Host: x", b"Host: x\r\nCookie: " + cookie.encode(), 1)
    for code in _codes(_answers(service.port if metrics else service.console_port, sent)):
        assert code < 500, sent


def _answers(port: int, sent: bytes) -> bytes:
    """All that is said to it, until both sides have nothing more to say."""
    heard = b""
    with socket.create_connection(("127.0.0.1", port), 5) as client, contextlib.suppress(ConnectionError):
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        client.settimeout(15)
        while chunk := client.recv(65536):
            heard += chunk
    return heard


def _codes(heard: bytes) -> list[int]:
    return [int(each) for each in re.findall(rb"(?:^|\r\n\r\n)HTTP/1\.1 (\d{3}) ", heard)]
