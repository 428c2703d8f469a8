"""The stores of the service in Redis and MongoDB, closed by a stack."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from notification_service import bootstrap
from notification_service.bootstrap import optional_parts
from notification_service.delivery.experiments import RunningExperiment
from notification_service.settings import RecipientRecord, Settings
from notification_service.stores.mongo import client as mongo
from notification_service.stores.mongo.client import GroupedReads
from notification_service.stores.mongo.directory import MongoDirectory
from notification_service.stores.mongo.experiments import MongoExperiments
from notification_service.stores.mongo.ledger import MongoLedger
from notification_service.stores.mongo.recalls import MongoRecalls
from notification_service.stores.mongo.retention import MongoRetention
from notification_service.stores.redis import client as redis
from notification_service.stores.redis.claims import RedisClaims
from notification_service.stores.redis.rates import RedisRates

if TYPE_CHECKING:
    from notification_service.stores.mongo.suppressions import MongoSuppressions

_DAY_S = 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectedStores(bootstrap.Stores):
    """The stores of a pipeline, and those of what works on its records. `listed`: `suppressions`, as MongoDB has it."""

    database: mongo.Database
    claims: RedisClaims
    ledger: MongoLedger
    recalls: MongoRecalls
    retention: MongoRetention
    redis_client: redis.RedisClient
    listed: "MongoSuppressions | None"
    experiment: RunningExperiment | None


async def connected_stores(settings: Settings, stack: AsyncExitStack) -> ConnectedStores:
    service, mongodb = settings.service, settings.mongodb
    opening = mongo.open_database(mongodb.uri.get_secret_value(), mongodb.database)
    database = await stack.enter_async_context(opening)
    client = redis.connect(settings.redis.url.get_secret_value())
    stack.push_async_callback(client.aclose)
    reads = GroupedReads()
    listed = optional_parts.suppressions(settings, database, reads)
    return ConnectedStores(
        database=database,
        claims=RedisClaims(client, lease_seconds=service.lease_seconds, verdict_seconds=service.verdict_days * _DAY_S),
        ledger=MongoLedger(
            database,
            mongodb.collection,
            full_recipients=service.record_recipient is RecipientRecord.FULL,
            address_keys=settings.addresses.plain_keys,
            reads=reads,
        ),
        directory=MongoDirectory(database, settings.tracking.consent_field, settings.channel_consents, reads.turns),
        rates=RedisRates(client, bootstrap.rate_limits(settings)),
        recalls=MongoRecalls(database, mongodb.collection),
        retention=MongoRetention(database, mongodb.collection),
        redis_client=client,
        suppressions=listed,
        listed=listed,
        experiment=RunningExperiment(service.experiment, MongoExperiments(database)) if service.experiment else None,
    )
