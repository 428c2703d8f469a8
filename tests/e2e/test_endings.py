"""SIGTERM while somebody holds on to the HTTP side: the jobs have the grace period, a client has a moment."""

import re
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from tests.samples import fresh
from tests.stack.place import RECORDS, Place, Service, until
from tests.stack.proxy import Proxy
from tests.stack.publisher import event
from tests.stack.smtp_rules import Rule

pytestmark = pytest.mark.cold

TOKEN = "a-token-that-is-long-enough"
SOON = 8.0
"""Seconds: what the goodbyes to a broker, two stores and HTTP take on a busy machine, and no client adds to."""
LOGIN = b"POST /console/login HTTP/1.1\r\nHost: x\r\nOrigin: http://x\r\nContent-Length: 100\r\n"
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n\r\ntoken="
HALF = {
    "nothing": b"",
    "half a line": b"GET /liv",
    "half its headers": LOGIN,
    "half its body": LOGIN + FORM,
}


@pytest.fixture
def client() -> Iterator[socket.socket]:
    with socket.socket() as opened:
        opened.settimeout(5)
        yield opened


def _ended_after(service: Service) -> float:
    """Seconds from SIGTERM to exit code 0."""
    started = time.monotonic()
    service.terminate()
    assert until(lambda: service.exit_code, timeout=60) == "0"
    return time.monotonic() - started


@pytest.mark.parametrize("sent", HALF.values(), ids=HALF)
def test_a_client_that_is_not_done_holds_nobody_up(place: Place, client: socket.socket, sent: bytes) -> None:
    with place.service(CONSOLE_TOKEN=TOKEN) as service:
        client.connect(("127.0.0.1", service.console_port))
        client.sendall(sent)
        time.sleep(0.3)  # the service has read it
        assert _ended_after(service) < SOON
        assert not [line for line in service.lines() if "exception" in line]
        if sent == HALF["half its body"]:
            assert client.recv(100).startswith(b"HTTP/1.1 503")


def test_jobs_in_hand_have_their_grace_beside_it(place: Place, client: socket.socket) -> None:
    place.smtp.script([Rule(at="dot", action="late", seconds=3)])
    data = fresh("booking.confirmed")
    with place.service(CONSOLE_TOKEN=TOKEN) as service:
        client.connect(("127.0.0.1", service.console_port))
        client.sendall(HALF["half its body"])
        place.publish(event(data))
        until(place.mails)
        assert _ended_after(service) < SOON + 3
    assert place.outcomes() == {data["event_id"]: "sent"}


def test_an_audit_that_is_under_way_holds_nobody_up(place: Place) -> None:
    old = {"created_at": datetime.now(UTC), "outcome": "sent", "fact": "f", "recipient": "x", "event_ids": []}
    place.database[RECORDS].insert_many([{"_id": f"n{n}", **old} for n in range(8000)])
    with Proxy(place.stack.mongo.port) as proxy:
        uri = place.stack.mongodb_uri.replace(str(place.stack.mongo.port), str(proxy.port))
        with place.service(CONSOLE_TOKEN=TOKEN, MONGODB_URI=uri) as service:
            proxy.latency = 0.5
            begun = _begin_an_audit(service)
            assert "The check has been running since" in begun
            assert _ended_after(service) < SOON
            assert not [line for line in service.lines() if "exception" in line]


def _begin_an_audit(service: Service) -> str:
    here = f"http://127.0.0.1:{service.console_port}"
    with httpx.Client(base_url=here, headers={"Origin": here}, timeout=30) as operator:
        operator.post("/console/login", data={"token": TOKEN})
        found = re.search(r'name="csrf_token" value="(\w+)"', operator.get("/console/books").text)
        assert found is not None
        operator.post("/console/books", data={"csrf_token": found[1]})
        return operator.get("/console/books").text
