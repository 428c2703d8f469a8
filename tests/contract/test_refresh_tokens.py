"""The latest refresh token of each login: the in-memory twin and MongoDB answer alike."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from notification_service.delivery.ports.refresh_tokens import KeptToken, RefreshTokens
from notification_service.foundation.errors import StoreUnavailableError
from notification_service.stores.memory.refresh_tokens import MemoryRefreshTokens
from notification_service.stores.mongo.refresh_tokens import MongoRefreshTokens
from tests.stack.local import LocalStack
from tests.stack.processes import free_port

NOON = datetime(2026, 12, 1, 12, 0, 0, 123000, tzinfo=UTC)
FIRST, SECOND = KeptToken(b"\x00first\xff", NOON), KeptToken(b"second", NOON + timedelta(milliseconds=1))


@pytest.fixture(params=["memory", "mongodb"])
async def tokens(request: pytest.FixtureRequest) -> AsyncIterator[RefreshTokens]:
    store: RefreshTokens = MemoryRefreshTokens()
    if request.param == "mongodb":
        stack: LocalStack = request.getfixturevalue("stack")
        store = MongoRefreshTokens(stack.mongodb_uri, f"logins_{uuid.uuid4().hex[:8]}")
    yield store
    await store.close()


async def test_nothing_is_kept_of_a_login_that_nobody_made(tokens: RefreshTokens) -> None:
    await tokens.keep("another", FIRST)
    assert await tokens.find("this") is None


async def test_the_latest_is_kept_whoever_comes_last(tokens: RefreshTokens) -> None:
    await tokens.keep("login", FIRST)
    assert await tokens.find("login") == FIRST
    await tokens.keep("login", SECOND)
    assert await tokens.find("login") == SECOND
    await tokens.keep("login", FIRST)
    assert await tokens.find("login") == SECOND


async def test_a_store_that_is_down_raises_a_store_error() -> None:
    store = MongoRefreshTokens(f"mongodb://127.0.0.1:{free_port()}", "any")
    answers = await asyncio.gather(store.find("login"), store.keep("login", FIRST), return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreUnavailableError] * 2
    await store.close()
