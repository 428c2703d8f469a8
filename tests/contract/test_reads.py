"""Reads by `_id` that go to MongoDB together: each is answered as it would be alone."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pymongo.errors import ExecutionTimeout

from notification_service.foundation.errors import StoreUnavailableError
from notification_service.stores.mongo import client as mongo
from notification_service.stores.mongo.client import Document, GroupedReads, ReadsById
from tests.stack.local import LocalStack
from tests.stack.processes import free_port
from tests.stack.proxy import Proxy

SIZE = 12
PLACES = [("films", {"title": 1}), ("films", {"_id": 1}), ("halls", {"title": 1, "rows": 1})]


@pytest.fixture(scope="module")
async def database(stack: LocalStack) -> AsyncIterator[mongo.Database]:
    client = mongo.connect(stack.mongodb_uri)
    database = client[f"test_{uuid.uuid4().hex[:12]}"]
    for name in ("films", "halls"):
        await database[name].insert_many(
            [{"_id": str(n), "title": f"{name} {n}", "rows": n, "more": "x"} for n in range(SIZE)]
        )
    yield database
    await client.drop_database(database.name)
    client.close()


def counted(reads: GroupedReads) -> list[int]:
    """How many questions each group has, from now on."""
    groups: list[int] = []
    inner = reads._groups._answer

    async def answer(questions: Sequence[Any]) -> Sequence[Document | Exception | None]:
        groups.append(len(questions))
        return await inner(questions)

    reads._groups._answer = answer
    return groups


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(questions=st.lists(st.tuples(st.sampled_from(PLACES), st.integers(-2, SIZE + 1).map(str)), max_size=130))
async def test_what_is_read_together_is_what_each_reads_alone(
    database: mongo.Database, questions: list[tuple[tuple[str, dict[str, int]], str]]
) -> None:
    reads = GroupedReads()
    of = [reads.of(database[name], fields) for name, fields in PLACES]
    together = await asyncio.gather(*(of[PLACES.index(place)].find(key) for place, key in questions))
    alone = {
        (name, repr(fields), key): await database[name].find_one({"_id": key}, fields)
        for (name, fields), key in questions
    }
    assert together == [alone[name, repr(fields), key] for (name, fields), key in questions]


async def test_what_is_asked_of_several_collections_at_once_is_one_group(database: mongo.Database) -> None:
    reads = GroupedReads()
    groups = counted(reads)
    of = [reads.of(database[name], fields) for name, fields in PLACES]
    await asyncio.gather(*(each.find(key) for key in ("1", "2") for each in of))
    assert groups == [6]


@pytest.mark.parametrize(
    "odd", [["\ud800"], [f"{number}{'x' * 250_000}" for number in range(70)]], ids=["text", "size"]
)
async def test_keys_that_no_question_can_hold_lead_nowhere_and_do_not_disturb_the_others(
    database: mongo.Database, odd: list[str]
) -> None:
    reads = GroupedReads()
    of = reads.of(database["films"], {"title": 1})
    found = await asyncio.gather(*map(of.find, (*odd, "1")))
    assert found == [*(None for _ in odd), {"_id": "1", "title": "films 1"}]


async def test_a_collection_that_may_not_be_read_does_not_disturb_the_others(database: mongo.Database) -> None:
    reads = GroupedReads()
    groups = counted(reads)
    refused = reads.of(database["halls"], {"title": 1, "rows": 0})
    films = reads.of(database["films"], {"title": 1})
    asked = [refused.find("1"), films.find("1"), refused.find("2"), films.find("none")]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(each) for each in answers] == [StoreUnavailableError, dict, StoreUnavailableError, type(None)]
    assert groups == [4]


async def test_a_server_that_hangs_is_waited_for_once_whatever_is_asked(
    stack: LocalStack, database: mongo.Database
) -> None:
    with Proxy(stack.mongo.port) as proxy:
        client = mongo.connect(f"mongodb://127.0.0.1:{proxy.port}/")
        reads = GroupedReads()
        of = [reads.of(client[database.name][name], fields) for name, fields in PLACES]
        assert await of[0].find("1")
        proxy.black_hole()
        began = time.monotonic()
        answers = await asyncio.gather(*(each.find("1") for each in of), return_exceptions=True)
        seconds = time.monotonic() - began
        proxy.flow()
        assert await of[0].find("1")
        client.close()
    assert [type(each) for each in answers] == [StoreUnavailableError] * 3
    assert 1 < seconds < 5.5


class Late(ReadsById):
    """What the server itself gives up, its time being over."""

    asked = 0

    def read(self, keys: Collection[str]) -> dict[str, Document]:
        del keys
        Late.asked += 1
        raise ExecutionTimeout("operation exceeded time limit", 50)


async def test_a_server_that_is_late_with_one_collection_is_not_asked_for_the_next() -> None:
    client = mongo.connect(f"mongodb://127.0.0.1:{free_port()}/")
    reads = GroupedReads()
    of = [Late(reads._groups, client["x"][name], {}) for name in ("films", "halls")]
    answers = await asyncio.gather(*(each.find("1") for each in of), return_exceptions=True)
    client.close()
    assert [type(each) for each in answers] == [StoreUnavailableError] * 2
    assert Late.asked == 1
