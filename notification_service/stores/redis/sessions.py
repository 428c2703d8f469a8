"""Sessions of the console in Redis (or Valkey), which expires them by itself."""

from notification_service.stores.redis.client import RedisClient, translate_errors

_PREFIX = "notification-session:"


class RedisSessions:
    """Stores only the keyed digest of a session id, so that reading Redis lets nobody in."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis

    async def begin(self, key: str, seconds: int) -> None:
        await translate_errors(self._redis.set(_PREFIX + key, 1, ex=seconds))

    async def exists(self, key: str) -> bool:
        return bool(await translate_errors(self._redis.exists(_PREFIX + key)))

    async def end(self, key: str) -> None:
        await translate_errors(self._redis.delete(_PREFIX + key))
