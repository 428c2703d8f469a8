"""The connection to MongoDB, with grouped reads and writes. The only module that imports Motor."""

import asyncio
import re
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Collection as Distinct, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from enum import Enum, auto
from itertools import chain
from typing import Any, TypeVar

from bson.errors import InvalidDocument
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection, AsyncIOMotorCursor, AsyncIOMotorDatabase
from pymongo import InsertOne, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure, PyMongoError
from pymongo.uri_parser import parse_uri

from notification_service.foundation.batching import Batcher, CallTurns
from notification_service.foundation.errors import INVALID_URL, ConfigurationError, StoreUnavailableError
from notification_service.foundation.hosts import is_host

T = TypeVar("T")
Document = dict[str, Any]
MongoClient = AsyncIOMotorClient[Document]
Database = AsyncIOMotorDatabase[Document]
Collection = AsyncIOMotorCollection[Document]
Cursor = AsyncIOMotorCursor[Document]
Write = InsertOne[Document] | UpdateOne

_TIMEOUT_MS = 2000
_OPERATION_MS = 5000
_DUPLICATE_KEY = 11000
_INDEX = re.compile(r"\bindex: (?:\S*\$)?(\S+)")
_MAX_GROUP_SIZE = 100
_TRANSIENT_CODES = frozenset(
    {
        # Network, elections, shutdown, interruption, deadlines, write conflicts.
        *(6, 7, 11, 24, 46, 50, 63, 89, 90, 91, 107, 112, 117, 134, 145, 149, 175, 189, 202, 211, 216, 237, 262, 279),
        *(281, 282, 290, 310, 317, 333, 355, 372, 384, 398, 407, 412, 453, 9001, 10058, 10107, 11600, 11601, 11602),
        *(13435, 13436, 46841, 50915, 91331, 10045600),
        # Shards that move, or that the router knows no longer.
        *(70, 133, 150, 203, 227, 239, 246, 249, 250, 272, 319, 338, 342, 343, 406, 414, 13388, 56846),
        # Overload, memory, files, disk, quota (8000: Atlas; 16500: Cosmos DB).
        *(146, 264, 365, 388, 402, 433, 449, 450, 462, 8000, 14031, 16500),
        # Rights and logins, blocked writes, a write concern that is not reached.
        *(13, 18, 64, 79, 100, 371, 391),
    }
)
"""Error codes of a server that steps down, is busy, has no space or lets nobody write: no document is at fault.

A router reports them for each write where a single server refuses the whole group. From MongoDB's error_codes.yml, all
categories but those of validation. Any other code blames the document, which is tried again and then parked: one that
fails for ever must not be waited for.
"""


_NOT_ENCODABLE = (InvalidDocument, UnicodeError, OverflowError)
"""What the driver raises for a value that BSON cannot hold, or for more than 16 MB. It does not say which value."""


def connect(uri: str) -> MongoClient:
    """Returns a client whose operations end within 5 s, and whose writes are journaled before they are acknowledged.

    It connects on first use. Raises `ConfigurationError` if the URI cannot be read.
    """
    _parsed(uri)
    try:
        return _client(uri)
    except (PyMongoError, ValueError):
        raise ConfigurationError(f"MONGODB_URI {INVALID_URL}") from None


@asynccontextmanager
async def open_database(uri: str, name: str) -> AsyncIterator[Database]:
    """A database over a client of its own (see `connect`), which is closed at the end of the block."""
    client = connect(uri)
    try:
        yield client[name]
    finally:
        client.close()


_INSECURE_OPTIONS = ("tlsInsecure", "tlsAllowInvalidCertificates", "tlsAllowInvalidHostnames")


def unprotected(uri: str) -> str | None:
    """Returns what in the URI, as the driver reads it, leaves the connection unprotected; None if nothing does.

    A `mongodb+srv` URI is judged without a DNS query. Raises `ConfigurationError`.
    """
    by_srv = re.match(r"mongodb\+srv://", uri, re.IGNORECASE)
    options = _parsed(uri)["options"]
    if not options.get("tls", bool(by_srv)):
        return "has to say tls=true"
    option = next((name for name in _INSECURE_OPTIONS if options.get(name)), None)
    return f"says {option}=true, so anybody may impersonate the server" if option else None


def _parsed(uri: str) -> dict[str, Any]:
    """Parse the URI as the client does, but without a DNS query for `mongodb+srv`. Raises `ConfigurationError`."""
    try:
        with warnings.catch_warnings(action="ignore"):
            # Lenient, as the client is: an unknown option has no effect.
            found = parse_uri(re.sub(r"^mongodb\+srv:", "mongodb:", uri, flags=re.IGNORECASE), warn=True)
    except (PyMongoError, ValueError, OSError):
        raise ConfigurationError(f"MONGODB_URI {INVALID_URL}") from None
    if not all(is_host(host) or host.endswith(".sock") for host, _ in found["nodelist"]):
        raise ConfigurationError(f"MONGODB_URI {INVALID_URL}")
    return dict(found)


def _client(uri: str) -> MongoClient:
    return AsyncIOMotorClient(
        uri,
        serverSelectionTimeoutMS=_TIMEOUT_MS,
        connectTimeoutMS=_TIMEOUT_MS,
        timeoutMS=_OPERATION_MS,
        journal=True,
        w="majority",
        readPreference="primary",
        tz_aware=True,
        # A date after the year 9999 or a text that is not UTF-8 must not make a whole batch unreadable.
        datetime_conversion="DATETIME_AUTO",
        unicode_decode_error_handler="replace",
        appname="notification-service",
    )


async def translate_errors(call: Awaitable[T]) -> T:
    """Await a call of the driver. Raises `StoreUnavailableError` for its errors, except `DuplicateKeyError`."""
    try:
        return await call
    except DuplicateKeyError:
        raise
    except PyMongoError as problem:
        raise unavailable(problem) from problem


def unavailable(problem: PyMongoError) -> StoreUnavailableError:
    """The driver's error without its long description of the topology."""
    return StoreUnavailableError("MongoDB", f"{type(problem).__name__}: {str(problem).partition(' (configured')[0]}")


async def in_batches(
    cursor: Cursor, size: int, matches: Callable[[Document], bool] = lambda _: True
) -> AsyncIterator[list[Document]]:
    """Yield the documents of a query that match, one batch in memory at a time. Raises `StoreUnavailableError`."""
    batch: list[Document] = []
    try:
        async for document in cursor.batch_size(size):
            if matches(document):
                batch.append(document)
            if len(batch) == size:
                yield batch
                batch = []
    except PyMongoError as problem:
        raise unavailable(problem) from problem
    if batch:
        yield batch


class Written(Enum):
    """The result of one write of a group."""

    DONE = auto()
    DUPLICATE = auto()
    UNCERTAIN = auto()
    """The group matched fewer documents than it has updates: read the document to find out."""


class WriteRefusedError(Exception):
    """The database refuses this document, for instance by its validator; a repetition is useless."""


Spellings = Callable[[str], Sequence[Any]]
"""Returns every value of `_id` that a key may mean."""


def _only_itself(key: str) -> Sequence[Any]:
    return (key,)


class ReadsById:
    """Reads documents of one collection by `_id`. `fields`: the projection, as in `find`."""

    def __init__(
        self,
        groups: "_ReadGroups",
        collection: Collection,
        fields: Mapping[str, int],
        spellings: Spellings = _only_itself,
    ) -> None:
        self._groups = groups
        self._blocking = collection.delegate
        self._fields = fields
        self._spellings = spellings

    async def find(self, key: str) -> Document | None:
        """Returns the document; of several, that of the first spelling. Raises `StoreUnavailableError`."""
        return await self._groups.ask((self, key))

    def read(self, keys: Distinct[str]) -> dict[str, Document]:
        """Read many documents at once. Blocks, so call it in a thread. Raises `PyMongoError`.

        No document has a key that cannot be encoded. Keys that are too long together are read in halves.
        """
        try:
            return self._read(keys)
        except _NOT_ENCODABLE:
            if len(keys) == 1:
                return {}
            listed, half = list(keys), len(keys) // 2
            return self.read(listed[:half]) | self.read(listed[half:])

    def _read(self, keys: Distinct[str]) -> dict[str, Document]:
        spelled = {key: self._spellings(key) for key in keys}
        ids = list(dict.fromkeys(chain.from_iterable(spelled.values())))
        found = {document["_id"]: document for document in self._blocking.find({"_id": {"$in": ids}}, self._fields)}
        return {
            key: next(found[form] for form in forms if form in found)
            for key, forms in spelled.items()
            if any(form in found for form in forms)
        }


_Read = tuple[ReadsById, str]
_ReadGroups = Batcher[_Read, Document | None]


class GroupedReads:
    """Groups concurrent reads by `_id`, from any collection, into one call to a worker thread.

    The switch to a thread costs about as much as a read. One group is in progress at a time, on one thread.
    `turns`: with the other groups, of reads and of writes, of this database. `linger_s`: as in `Batcher`.
    """

    def __init__(self, turns: CallTurns | None = None, *, linger_s: float = 0.0) -> None:
        self.turns = turns or CallTurns()
        self._thread = ThreadPoolExecutor(1)
        self._groups: _ReadGroups = Batcher(self._read_group, _MAX_GROUP_SIZE, self.turns, linger_s=linger_s)

    def of(self, collection: Collection, fields: Mapping[str, int], spellings: Spellings = _only_itself) -> ReadsById:
        return ReadsById(self._groups, collection, fields, spellings)

    async def _read_group(self, reads: Sequence[_Read]) -> list[Document | Exception | None]:
        keys: dict[ReadsById, set[str]] = {}
        for collection, key in reads:
            keys.setdefault(collection, set()).add(key)
        found = await translate_errors(asyncio.get_running_loop().run_in_executor(self._thread, _read_all, keys))
        return [_document(found[collection], key) for collection, key in reads]


_Found = dict[str, Document] | StoreUnavailableError


def _read_all(keys_by_collection: Mapping[ReadsById, Distinct[str]]) -> dict[ReadsById, _Found]:
    """Read one collection after the other, and stop at the first timeout: a group takes 5 s at most."""
    found: dict[ReadsById, _Found] = {}
    for collection, keys in keys_by_collection.items():
        try:
            found[collection] = collection.read(keys)
        except OperationFailure as problem:
            if problem.timeout:
                raise
            found[collection] = unavailable(problem)
    return found


def _document(found: _Found, key: str) -> Document | Exception | None:
    return found if isinstance(found, StoreUnavailableError) else found.get(key)


class GroupedWrites:
    """Groups concurrent writes into bulk writes: a single insert costs several times as much (pitfalls.md, 22).

    `turns`: with the other groups of this database. `linger_s`: as in `Batcher`.
    """

    def __init__(self, collection: Collection, turns: CallTurns | None = None, *, linger_s: float = 0.0) -> None:
        self._collection = collection
        self._groups: Batcher[Write, Written] = Batcher(self._write_group, _MAX_GROUP_SIZE, turns, linger_s=linger_s)

    async def write(self, operation: Write) -> Written:
        """Raises `StoreUnavailableError`, after which the write may have been done or not, and `WriteRefusedError`."""
        return await self._groups.ask(operation)

    async def _write_group(self, operations: Sequence[Write]) -> list[Written | Exception]:
        try:
            result: dict[str, Any] = (await self._collection.bulk_write(operations, ordered=False)).bulk_api_result
        except BulkWriteError as problem:
            result = dict(problem.details)
            if result.get("writeConcernErrors"):
                raise StoreUnavailableError("MongoDB", str(result["writeConcernErrors"][0].get("errmsg"))) from problem
        except PyMongoError as problem:
            raise unavailable(problem) from problem
        except _NOT_ENCODABLE as problem:
            if len(operations) == 1:
                return [WriteRefusedError(type(problem).__name__)]
            return [(await self._write_group([each]))[0] for each in operations]
        return _results(result, operations)


def _results(result: dict[str, Any], operations: Sequence[Write]) -> list[Written | Exception]:
    updates = sum(isinstance(operation, UpdateOne) for operation in operations)
    updated = Written.DONE if result["nMatched"] == updates else Written.UNCERTAIN
    answers: list[Written | Exception] = [
        updated if isinstance(operation, UpdateOne) else Written.DONE for operation in operations
    ]
    for error in result["writeErrors"]:
        answers[error["index"]] = _error(error)
    return answers


def _error(error: Mapping[str, Any]) -> Written | Exception:
    code, text = error["code"], f"{error['code']}: {error['errmsg']}"
    if code == _DUPLICATE_KEY and not _is_of_another_index(error):
        return Written.DUPLICATE
    return StoreUnavailableError("MongoDB", text) if code in _TRANSIENT_CODES else WriteRefusedError(text)


def _is_of_another_index(error: Mapping[str, Any]) -> bool:
    """Whether a unique index other than that of `_id` refuses the document. None of ours is unique."""
    index = _INDEX.search(error["errmsg"])
    return "_id" not in error["keyPattern"] if error.get("keyPattern") else bool(index and index[1] != "_id_")
