"""The servers that the service connects to (but for the mail server), and its own web console."""

from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from notification_service.settings.fields import (
    AddressKeys,
    BrokerName,
    CollectionName,
    ConsoleToken,
    DatabaseName,
    Networks,
    Origin,
    Port,
    Prefetch,
    SecretUrl,
    SettingsGroup,
)


class RabbitSettings(SettingsGroup):
    model_config = SettingsConfigDict(env_prefix="RABBITMQ_")

    url: SecretUrl = SecretStr("amqp://guest:guest@localhost:5672/")
    exchange: BrokerName = "movie_app_events"
    booking_queue: BrokerName = "notification.booking_events"
    payment_queue: BrokerName = "notification.payment_events"
    prefetch: Prefetch = 64
    express_lane: bool = False
    management_url: SecretStr | None = None


class RedisSettings(SettingsGroup):
    model_config = SettingsConfigDict(env_prefix="REDIS_")

    url: SecretUrl = SecretStr("redis://localhost:6379/0")


class MongoSettings(SettingsGroup):
    model_config = SettingsConfigDict(env_prefix="MONGODB_")

    uri: SecretUrl = SecretStr("mongodb://localhost:27017")
    database: DatabaseName = "movie_booking"
    collection: CollectionName = "notification_logs"


class AddressKeySettings(SettingsGroup):
    """`keys`: for the digests by which records are found by address; the current key first, then older ones."""

    model_config = SettingsConfigDict(env_prefix="ADDRESS_")

    keys: AddressKeys = ()

    @property
    def plain_keys(self) -> tuple[str, ...]:
        return tuple(key.get_secret_value() for key in self.keys)


class ConsoleSettings(SettingsGroup):
    """Without a token there is no web console. `url`: the scheme and host under which browsers open it."""

    model_config = SettingsConfigDict(env_prefix="CONSOLE_")

    token: ConsoleToken = None
    host: str = "127.0.0.1"
    port: Port = 8085
    url: Origin = None
    trusted_proxies: Networks = ()
