"""What `doctor` and `reconcile` report on queues that drop redelivered events, with and without their policies."""

import asyncio
import json
import subprocess
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
"""RabbitMQ 4's default for a queue without a limit, set explicitly so that RabbitMQ 3 has it too."""


@pytest.fixture
def url(stack: LocalStack) -> Iterator[str]:
    yield stack.broker.add_vhost("queue-checks")
    stack.broker.delete_vhost("queue-checks")


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
        broker.tell(quorum_tick_interval=200)  # a quorum queue shows its policy to the API once in that time
        yield broker, f"http://127.0.0.1:{port}"


async def declare(url: str, arguments: Mapping[str, Any], name: str = "q") -> None:
    async with await aio_pika.connect(url) as connection:
        await (await connection.channel()).declare_queue(name, durable=True, arguments=dict(arguments))


async def arguments_hold(url: str, arguments: Mapping[str, Any]) -> None:
    """Raises where the queue stands with others."""
    await declare(url, arguments)


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
async def test_without_the_api_a_policy_is_unknown_and_nothing_is_changed(
    url: str, arguments: dict[str, Any], expected: Fate | None
) -> None:
    await declare(url, arguments)
    assert await fate(url) is expected
    await arguments_hold(url, arguments)


async def test_a_queue_without_a_limit_is_judged_by_the_version_of_the_server(url: str, stack: LocalStack) -> None:
    await declare(url, QUORUM)
    assert await fate(url) is (Fate.UNKNOWN if stack.broker.version >= (4,) else None)


async def test_without_permission_to_declare_the_result_is_unknown(url: str, stack: LocalStack) -> None:
    await declare(url, LIMITED)
    await asyncio.to_thread(stack.broker.ctl, "set_permissions", "-p", "queue-checks", "guest", "^$", ".*", ".*")
    (found,) = await delivery_limits.examine(url, ["q"], None)
    assert found.fate is Fate.UNKNOWN
    assert "is unknown" in found.text


async def test_a_broker_that_does_not_answer_is_named() -> None:
    with pytest.raises(DependencyError, match="RABBITMQ_URL"):
        await delivery_limits.examine(f"amqp://guest:guest@127.0.0.1:{free_port()}/", ["q"], None)


@pytest.mark.parametrize("management", ["rabbit:15672", "ftp://rabbit", "http://", "http://[", "15672"])
async def test_an_invalid_address_names_its_setting(url: str, management: str) -> None:
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
        await declare(url, LIMITED)
        await policy_shown(management, url, set())
        assert await fate(url, management) is Fate.DROPPED
        await asyncio.to_thread(
            broker.ctl, "set_policy", "-p", "a/b c", "events", "^q$", json.dumps(definition), "--apply-to", "queues"
        )
        await policy_shown(management, url, set(definition))
        assert await fate(url, management) is expected
        assert await fate(url, f"{management}/") is expected
        assert await fate(url, management.replace("//", "//guest:wrong@")) is Fate.UNKNOWN
        assert await fate(url, f"http://127.0.0.1:{free_port()}") is Fate.UNKNOWN
        await declare(url, {"x-queue-type": "classic"}, "classic")
        assert await delivery_limits.examine(url, ["classic"], management) == []
    finally:
        broker.delete_vhost("a/b c")


async def policy_shown(management: str, url: str, policy: set[str], queue: str = "q") -> None:
    """Wait until the API shows this policy: it is collected every few seconds."""
    api = delivery_limits._Api.of(management, url)
    async with asyncio.timeout(60):
        while (found := api.describe(queue).get("effective_policy_definition")) is None or set(found) != policy:  # noqa: ASYNC110 - the API has no notification
            await asyncio.sleep(0.1)


def command(place: Place, name: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return place.command(name, "--json", **changes)


def test_doctor_and_reconcile_report_it(place: Place, managed: tuple[Broker, str]) -> None:
    broker, management = managed
    url = broker.add_vhost("reports")
    asyncio.run(declare(url, LIMITED, BOOKINGS))
    unknown = {"RABBITMQ_URL": url}
    known = {**unknown, "RABBITMQ_MANAGEMENT_URL": management}

    def reports(**settings: str) -> tuple[dict[str, Any], dict[str, Any]]:
        doctor, reconcile = command(place, "doctor", **settings), command(place, "reconcile", **settings)
        findings = {each["what"]: each for each in json.loads(doctor.stdout)["findings"]}
        return findings["RabbitMQ's delivery limits"], json.loads(reconcile.stdout)

    finding, report = reports(**unknown)
    assert finding["ok"]
    assert "unknown, as RABBITMQ_MANAGEMENT_URL is not set" in finding["detail"]
    assert (report["balanced"], report["notes"]) == (True, [finding["detail"]])
    asyncio.run(policy_shown(management, url, set(), BOOKINGS))
    finding, report = reports(**known)
    assert not finding["ok"]
    assert f"{BOOKINGS} redelivers an event 20 times and then drops it" in finding["detail"]
    assert (report["balanced"], [each["text"] for each in report["findings"]]) == (False, [finding["detail"]])
    broker.delete_vhost("reports")


def test_the_password_is_not_sent_to_the_target_of_a_redirect() -> None:
    """A redirect counts as a failed answer."""
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
