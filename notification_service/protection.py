"""Whether the connections to RabbitMQ, Redis and MongoDB are protected, by the way each client reads its URL.

A module apart from the settings: it imports the clients, and the settings are also read where none is needed.
"""

from notification_service.broker import lenient_decoding
from notification_service.stores.mongo import client as mongo
from notification_service.stores.redis import client as redis


def unprotected(*, rabbitmq: str, redis_url: str, mongodb: str) -> dict[str, str]:
    """Returns the faults by the name of the server. Raises `ConfigurationError` if a URL cannot be read."""
    checked = {
        "rabbitmq": ("RABBITMQ_URL", lenient_decoding.unprotected(rabbitmq)),
        "redis": ("REDIS_URL", redis.unprotected(redis_url)),
        "mongodb": ("MONGODB_URI", mongo.unprotected(mongodb)),
    }
    return {server: f"{setting} {fault}" for server, (setting, fault) in checked.items() if fault}
