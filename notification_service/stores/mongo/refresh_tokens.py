"""The sealed refresh tokens for the mail server: one document for each login, in a collection of their own."""

from pymongo.errors import DuplicateKeyError

from notification_service.delivery.ports.refresh_tokens import KeptToken
from notification_service.stores.mongo import client as mongo
from notification_service.stores.mongo.client import translate_errors

LOGINS = "notification_logins"


class MongoRefreshTokens:
    """Has a separate client, which connects on first use. Tokens are renewed about once an hour."""

    def __init__(self, uri: str, database: str) -> None:
        self._client = mongo.connect(uri)
        self._logins = self._client[database][LOGINS]

    async def find(self, login: str) -> KeptToken | None:
        found = await translate_errors(self._logins.find_one({"_id": login}))
        return KeptToken(bytes(found["sealed"]), found["renewed_at"]) if found else None

    async def keep(self, login: str, token: KeptToken) -> None:
        older = {"_id": login, "renewed_at": {"$lt": token.renewed_at}}
        new = {"$set": {"sealed": token.sealed, "renewed_at": token.renewed_at}}
        try:
            await translate_errors(self._logins.update_one(older, new, upsert=True))
        except DuplicateKeyError:
            return  # a newer one is there

    async def close(self) -> None:
        self._client.close()
