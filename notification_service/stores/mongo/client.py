"""The connection to MongoDB and its grouped writes. The only module that knows Motor."""

import asyncio
import re
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Collection as Distinct, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import Enum, auto
from itertools import chain
from typing import Any, TypeVar

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection, AsyncIOMotorCursor, AsyncIOMotorDatabase
from pymongo import InsertOne, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure, PyMongoError
from pymongo.uri_parser import parse_uri

from notification_service.foundation.batching import Batcher
from notification_service.foundation.errors import NO_URL, ConfigurationError, StoreUnavailableError
from notification_service.foundation.hosts import is_host

T = TypeVar("T")
Document = dict[str, Any]
Client = AsyncIOMotorClient[Document]
Database = AsyncIOMotorDatabase[Document]
Collection = AsyncIOMotorCollection[Document]
Cursor = AsyncIOMotorCursor[Document]
Write = InsertOne[Document] | UpdateOne

_TIMEOUT_MS = 2000
_OPERATION_MS = 5000
_DUPLICATE_KEY = 11000
_MAX_GROUP_SIZE = 100
_PASSING = frozenset(
    {
        *(6, 7, 11, 24, 46, 50, 63, 89, 90, 91, 112, 117, 133, 134, 150, 175, 189, 202, 211, 216, 246, 262, 279, 317),
        *(365, 371, 391, 462, 9001, 10058, 10107, 11600, 11602, 13388, 13435, 13436, 14031),
    }
)
"""Codes of a server that steps down, is busy, times out or has no room: no document is at fault.

MongoDB's error_codes.yml: those that may be tried again, of an election, a shutdown or a stale shard, 365 (no room in
the cache just now), 371 (an administrator blocks writes), 462 (too many requests), 14031 (no room on the disk).
"""


def connect(uri: str) -> Client:
    """A client whose operations end within five seconds, and whose writes are in the journal when they are answered.

    No connection is opened yet.
    """
    _parsed(uri)
    try:
        return _client(uri)
    except (PyMongoError, ValueError):
        raise ConfigurationError(f"MONGODB_URI {NO_URL}") from None


_SWITCHES = ("tlsInsecure", "tlsAllowInvalidCertificates", "tlsAllowInvalidHostnames")


def unprotected(uri: str) -> str | None:
    """What in the address lets others read along or answer in the server's place, as the driver reads it; or None.

    It says nothing of a `mongodb+srv` address but what is written there: nobody is asked. Raises `ConfigurationError`.
    """
    by_srv = re.match(r"mongodb\+srv://", uri, re.IGNORECASE)
    said = _parsed(uri)["options"]
    if not said.get("tls", bool(by_srv)):
        return "has to say tls=true"
    switch = next((name for name in _SWITCHES if said.get(name)), None)
    return f"says {switch}=true, so anybody may answer in the server's place" if switch else None


def _parsed(uri: str) -> dict[str, Any]:
    """As the client reads it, but nobody is asked where a `mongodb+srv` address leads.

    Raises `ConfigurationError`.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            # Leniently, as the client does: an option that it does not understand has no effect.
            found = parse_uri(re.sub(r"^mongodb\+srv:", "mongodb:", uri, flags=re.IGNORECASE), warn=True)
    except (PyMongoError, ValueError, OSError):
        raise ConfigurationError(f"MONGODB_URI {NO_URL}") from None
    if not all(is_host(host) or host.endswith(".sock") for host, _ in found["nodelist"]):
        raise ConfigurationError(f"MONGODB_URI {NO_URL}")
    return dict(found)


def _client(uri: str) -> Client:
    return AsyncIOMotorClient(
        uri,
        serverSelectionTimeoutMS=_TIMEOUT_MS,
        connectTimeoutMS=_TIMEOUT_MS,
        timeoutMS=_OPERATION_MS,
        journal=True,
        w="majority",
        readPreference="primary",
        tz_aware=True,
        # A date beyond the year 9999, or a text that is no UTF-8, is not to make a whole batch unreadable.
        datetime_conversion="DATETIME_AUTO",
        unicode_decode_error_handler="replace",
        appname="notification-service",
    )


async def answered(call: Awaitable[T]) -> T:
    """Raises `StoreUnavailableError` where there was no answer; what a server answered is the caller's to read."""
    try:
        return await call
    except DuplicateKeyError:
        raise
    except PyMongoError as problem:
        raise unavailable(problem) from problem


def unavailable(problem: PyMongoError) -> StoreUnavailableError:
    """What the driver says, without the page that it says about its topology."""
    return StoreUnavailableError("MongoDB", f"{type(problem).__name__}: {str(problem).partition(' (configured')[0]}")


async def in_batches(
    cursor: Cursor, size: int, wanted: Callable[[Document], bool] = lambda _: True
) -> AsyncIterator[list[Document]]:
    """What a query finds and is `wanted`; memory holds one batch of it. Raises `StoreUnavailableError`."""
    batch: list[Document] = []
    try:
        async for document in cursor.batch_size(size):
            if wanted(document):
                batch.append(document)
            if len(batch) == size:
                yield batch
                batch = []
    except PyMongoError as problem:
        raise unavailable(problem) from problem
    if batch:
        yield batch


class Written(Enum):
    """What became of one write of a group."""

    DONE = auto()
    DUPLICATE = auto()
    UNCERTAIN = auto()
    """The group matched fewer documents than it has updates: read to know."""


class WriteRefusedError(Exception):
    """The database refuses this document, by its validator for instance; repeating it is of no use."""


Spellings = Callable[[str], Sequence[Any]]
"""Every value of `_id` that a key may stand for."""


def _as_it_is(key: str) -> Sequence[Any]:
    return (key,)


class ReadsById:
    """Documents of one collection by their `_id`. `fields`: as in `find`."""

    def __init__(
        self, groups: "_ReadGroups", collection: Collection, fields: Mapping[str, int], spellings: Spellings = _as_it_is
    ) -> None:
        self._groups = groups
        self._blocking = collection.delegate
        self._fields = fields
        self._spellings = spellings

    async def find(self, key: str) -> Document | None:
        """The document of that `_id`; of several, that of the first spelling. Raises `StoreUnavailableError`."""
        return await self._groups.ask((self, key))

    def read(self, keys: Distinct[str]) -> dict[str, Document]:
        """For a thread: it blocks. Raises `PyMongoError`."""
        spelled = {key: self._spellings(key) for key in keys}
        wanted = list(dict.fromkeys(chain.from_iterable(spelled.values())))
        held = {document["_id"]: document for document in self._blocking.find({"_id": {"$in": wanted}}, self._fields)}
        return {key: held[found[0]] for key, forms in spelled.items() if (found := [f for f in forms if f in held])}


_Question = tuple[ReadsById, str]
_ReadGroups = Batcher[_Question, Document | None]


class GroupedReads:
    """What jobs read by `_id` at the same moment, of whichever collection: all of it is one way to a thread and back.

    The way costs about as much as a read. The thread is its own, as one group is under way at a time.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._groups: _ReadGroups = Batcher(self._read_group, _MAX_GROUP_SIZE)

    def of(self, collection: Collection, fields: Mapping[str, int], spellings: Spellings = _as_it_is) -> ReadsById:
        return ReadsById(self._groups, collection, fields, spellings)

    async def _read_group(self, questions: Sequence[_Question]) -> list[Document | Exception | None]:
        wanted: dict[ReadsById, set[str]] = {}
        for of, key in questions:
            wanted.setdefault(of, set()).add(key)
        found = await answered(asyncio.get_running_loop().run_in_executor(self._thread, _read_all, wanted))
        return [_document(found[of], key) for of, key in questions]


_Found = dict[str, Document] | StoreUnavailableError


def _read_all(wanted: Mapping[ReadsById, Distinct[str]]) -> dict[ReadsById, _Found]:
    """One after the other. A server that does not answer the first is not asked the next: five seconds are enough."""
    found: dict[ReadsById, _Found] = {}
    for of, keys in wanted.items():
        try:
            found[of] = of.read(keys)
        except OperationFailure as problem:
            if problem.timeout:
                raise
            found[of] = unavailable(problem)
    return found


def _document(found: _Found, key: str) -> Document | Exception | None:
    return found if isinstance(found, StoreUnavailableError) else found.get(key)


class GroupedWrites:
    """Bulk writes across notifications: a single insert through Motor costs several times as much (pitfalls.md, 22)."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._groups: Batcher[Write, Written] = Batcher(self._write_group, _MAX_GROUP_SIZE)

    async def write(self, operation: Write) -> Written:
        """Raises `StoreUnavailableError`, after which the write may or may not be done, and `WriteRefusedError`."""
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
        return _read(result, operations)


def _read(result: dict[str, Any], operations: Sequence[Write]) -> list[Written | Exception]:
    updates = sum(isinstance(operation, UpdateOne) for operation in operations)
    updated = Written.DONE if result["nMatched"] == updates else Written.UNCERTAIN
    answers: list[Written | Exception] = [
        updated if isinstance(operation, UpdateOne) else Written.DONE for operation in operations
    ]
    for error in result["writeErrors"]:
        answers[error["index"]] = _error(error["code"], f"{error['code']}: {error['errmsg']}")
    return answers


def _error(code: int, text: str) -> Written | Exception:
    if code == _DUPLICATE_KEY:
        return Written.DUPLICATE
    return StoreUnavailableError("MongoDB", text) if code in _PASSING else WriteRefusedError(text)
