"""What `doctor` and `reconcile` can know of a queue that drops what comes back often, with and without its policies."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import aio_pika
import pytest

from notification_service.broker import delivery_limits
from notification_service.broker.delivery_limits import Fate
from notification_service.foundation.errors import ConfigurationError, DependencyError
from tests.stack.local import LocalStack
from tests.stack.place import Place
from tests.stack.processes import free_port
from tests.stack.rabbitmq import Broker, LocalNode, find_broker

QUORUM = {"x-queue-type": "quorum"}
BOOKINGS = "notification.booking_events"
DEAD_LETTERS = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "z", "x-message-ttl": 60_000_000}
LIMITED = {**QUORUM, "x-delivery-limit": 20}
"""What RabbitMQ 4 makes of a queue that says nothing, spelt out, so that RabbitMQ 3 has it too."""


@pytest.fixture
def url(stack: LocalStack) -> Iterator[str]:
    yield stack.broker.add_vhost("limits-told")
    stack.broker.delete_vhost("limits-told")


@pytest.fixture(scope="module")
def managed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Broker, str]]:
    """A node with its management API."""
    port = free_port()
    broker = find_broker(
        tmp_path_factory.mktemp("managed"),
        {"management.tcp.port": str(port), "management.tcp.ip": "127.0.0.1", "collect_statistics_interval": "500"},
    )
    if not isinstance(broker, LocalNode):
        pytest.skip("the management API of a container is not published")
    broker.plugins = ("rabbitmq_management",)
    with broker:
        yield broker, f"http://127.0.0.1:{port}"


async def stands(url: str, arguments: Mapping[str, Any], name: str = "q") -> None:
    async with await aio_pika.connect(url) as connection:
        await (await connection.channel()).declare_queue(name, durable=True, arguments=dict(arguments))


async def arguments_hold(url: str, arguments: Mapping[str, Any]) -> None:
    """Raises where the queue stands with others."""
    await stands(url, arguments)


async def fate(url: str, management: str | None = None) -> Fate | None:
    found = await delivery_limits.examine(url, ["q", "q", "missing"], management)
    assert all(each.queue == "q" for each in found)
    assert len(found) < 2
    return found[0].fate if found else None


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (LIMITED, Fate.UNKNOWN),
        ({**LIMITED, "x-max-length": 7, "x-overflow": "reject-publish", "x-stuff": "a"}, Fate.UNKNOWN),
        ({**LIMITED, **DEAD_LETTERS}, None),
        ({**QUORUM, "x-delivery-limit": -1}, None),
        ({"x-queue-type": "classic"}, None),
        ({"x-max-priority": 3}, None),
        ({"x-queue-type": "stream"}, None),
    ],
    ids=str,
)
async def test_without_the_api_a_policy_cannot_be_told_and_nothing_is_changed(
    url: str, arguments: dict[str, Any], expected: Fate | None
) -> None:
    await stands(url, arguments)
    assert await fate(url) is expected
    await arguments_hold(url, arguments)


async def test_a_queue_that_says_nothing_is_judged_by_the_servers_version(url: str, stack: LocalStack) -> None:
    await stands(url, QUORUM)
    assert await fate(url) is (Fate.UNKNOWN if stack.broker.version >= (4,) else None)


async def test_what_the_user_may_not_ask_is_not_known(url: str, stack: LocalStack) -> None:
    await stands(url, LIMITED)
    await asyncio.to_thread(stack.broker.ctl, "set_permissions", "-p", "limits-told", "guest", "^$", ".*", ".*")
    (found,) = await delivery_limits.examine(url, ["q"], None)
    assert found.fate is Fate.UNKNOWN
    assert "cannot be told" in found.text


async def test_a_broker_that_does_not_answer_is_named() -> None:
    with pytest.raises(DependencyError, match="RABBITMQ_URL"):
        await delivery_limits.examine(f"amqp://guest:guest@127.0.0.1:{free_port()}/", ["q"], None)


@pytest.mark.parametrize("management", ["rabbit:15672", "ftp://rabbit", "http://", "http://[", "15672"])
async def test_an_address_that_is_none_is_a_setting_at_fault(url: str, management: str) -> None:
    with pytest.raises(ConfigurationError, match="RABBITMQ_MANAGEMENT_URL"):
        await delivery_limits.examine(url, ["q"], management)


POLICIES: dict[str, tuple[dict[str, Any], Fate | None]] = {
    "a dead-letter exchange": ({"delivery-limit": 1000, "dead-letter-exchange": ""}, None),
    "a limit alone": ({"delivery-limit": 1000}, Fate.DROPPED),
}


@pytest.mark.parametrize("policy", POLICIES)
async def test_with_the_api_policies_count(managed: tuple[Broker, str], policy: str) -> None:
    broker, management = managed
    url = broker.add_vhost("a/b c")
    definition, expected = POLICIES[policy]
    try:
        await stands(url, LIMITED)
        await told(management, url, set())
        assert await fate(url, management) is Fate.DROPPED
        await asyncio.to_thread(
            broker.ctl, "set_policy", "-p", "a/b c", "events", "^q$", json.dumps(definition), "--apply-to", "queues"
        )
        await told(management, url, set(definition))
        assert await fate(url, management) is expected
        assert await fate(url, f"{management}/") is expected
        assert await fate(url, management.replace("//", "//guest:wrong@")) is Fate.UNKNOWN
        assert await fate(url, f"http://127.0.0.1:{free_port()}") is Fate.UNKNOWN
        await stands(url, {"x-queue-type": "classic"}, "classic")
        assert await delivery_limits.examine(url, ["classic"], management) == []
    finally:
        broker.delete_vhost("a/b c")


async def told(management: str, url: str, policy: set[str], queue: str = "q") -> None:
    """Wait until the API tells so of the policy: it gathers that every few seconds."""
    api = delivery_limits._Api.of(management, url)
    async with asyncio.timeout(60):
        while (found := api.told(queue).get("effective_policy_definition")) is None or set(found) != policy:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.1)


def command(place: Place, name: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "notification_service.cli.main", name, "--json"],
        env={**os.environ, **place.environment(**changes)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=place.folder,
    )


def test_doctor_and_reconcile_say_it(place: Place, managed: tuple[Broker, str]) -> None:
    broker, management = managed
    url = broker.add_vhost("said")
    asyncio.run(stands(url, LIMITED, BOOKINGS))
    unknown = {"RABBITMQ_URL": url}
    known = {**unknown, "RABBITMQ_MANAGEMENT_URL": management}

    def said(**settings: str) -> tuple[dict[str, Any], dict[str, Any]]:
        doctor, reconcile = command(place, "doctor", **settings), command(place, "reconcile", **settings)
        findings = {each["what"]: each for each in json.loads(doctor.stdout)["findings"]}
        return findings["RabbitMQ's delivery limits"], json.loads(reconcile.stdout)

    looked, books = said(**unknown)
    assert looked["ok"]
    assert "cannot be told as RABBITMQ_MANAGEMENT_URL is not set" in looked["detail"]
    assert (books["balanced"], books["notes"]) == (True, [looked["detail"]])
    asyncio.run(told(management, url, set(), BOOKINGS))
    looked, books = said(**known)
    assert not looked["ok"]
    assert f"{BOOKINGS} gives an event out again 20 times and then drops it" in looked["detail"]
    assert (books["balanced"], [each["text"] for each in books["findings"]]) == (False, [looked["detail"]])
    broker.delete_vhost("said")


def test_the_password_goes_where_the_setting_says_and_nowhere_else() -> None:
    """A redirect is an answer like any other that is not the API's."""
    heard: list[str] = []

    class Away(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.path)
            self.send_response(302)
            self.send_header("Location", "/stolen")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Away) as away:
        threading.Thread(target=away.serve_forever).start()
        try:
            api = delivery_limits._Api.of(f"http://127.0.0.1:{away.server_port}", "amqp://jane:secret@host/")
            with pytest.raises(OSError, match="302"):
                api.rules("q")
        finally:
            away.shutdown()
    assert heard == ["/api/queues/%2F/q"]
