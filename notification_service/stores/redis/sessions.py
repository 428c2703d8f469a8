"""Who is signed in to the console. Redis forgets a session by itself when its time is over."""

from notification_service.stores.redis.client import Client, answered

_PREFIX = "notification-session:"


class RedisSessions:
    """Keeps what it is given as the key alone, which is no session's id: who reads Redis can be nobody."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis

    async def begin(self, key: str, seconds: int) -> None:
        await answered(self._redis.set(_PREFIX + key, 1, ex=seconds))

    async def stands(self, key: str) -> bool:
        return bool(await answered(self._redis.exists(_PREFIX + key)))

    async def end(self, key: str) -> None:
        await answered(self._redis.delete(_PREFIX + key))
