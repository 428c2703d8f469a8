"""Opens the database for a command."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from notification_service.foundation.errors import DependencyError, StoreUnavailableError
from notification_service.settings import Settings
from notification_service.stores.mongo.client import Database, open_database


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Database]:
    """The database of the records. Raises `DependencyError` if a store does not answer within the block."""
    mongodb = settings.mongodb
    try:
        async with open_database(mongodb.uri.get_secret_value(), mongodb.database) as database:
            yield database
    except StoreUnavailableError as problem:
        raise DependencyError(f"MONGODB_URI: {problem}") from problem
