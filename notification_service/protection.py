"""Whether what is said to RabbitMQ, Redis and MongoDB is protected: judged by how the client of each reads its URL.

Apart from the settings, which are read where none of these clients is needed.
"""

from notification_service.broker import lenient_decoding
from notification_service.stores.mongo import client as mongo
from notification_service.stores.redis import client as redis


def unprotected(*, rabbitmq: str, redis_url: str, mongodb: str) -> dict[str, str]:
    """The faults, by the name of the link. Raises `ConfigurationError` where a URL cannot be read."""
    judged = {
        "rabbitmq": ("RABBITMQ_URL", lenient_decoding.unprotected(rabbitmq)),
        "redis": ("REDIS_URL", redis.unprotected(redis_url)),
        "mongodb": ("MONGODB_URI", mongo.unprotected(mongodb)),
    }
    return {link: f"{setting} {fault}" for link, (setting, fault) in judged.items() if fault}
