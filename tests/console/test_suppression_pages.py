"""A person looks at the list of suppressions, adds an address and lifts one, and it is remembered who did."""

import re
from datetime import UTC, datetime

import httpx
import pytest

from notification_service.console.queries import ConsoleQueries
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.suppressions import Cause, Entry, Evidence
from tests.console.test_http import csrf

ADDRESS = "Suppressed.Guest@guests.example"


async def entries(behind: ConsoleQueries, address: str = ADDRESS) -> tuple[Entry, ...]:
    return (await behind.suppressions.known(ChannelKind.EMAIL, address)).entries


async def send(operator: httpx.AsyncClient, **fields: str) -> httpx.Response:
    return await operator.post("/console/suppressions", data={"csrf_token": await csrf(operator), **fields})


async def test_an_address_is_added_found_and_lifted(operator: httpx.AsyncClient, behind: ConsoleQueries) -> None:
    added = await send(operator, do="add", address=ADDRESS, by="Jo", reason="<b>asked</b> by phone")
    assert added.status_code == 200
    assert "1 suppression added" in added.text
    (entry,) = await entries(behind)
    assert (entry.cause, entry.evidence[0].source) == (Cause.BY_HAND, "Jo (console)")
    found = await operator.get("/console/suppressions", params={"q": ADDRESS.upper()})
    assert "until lifted" in found.text
    assert "&lt;b&gt;asked" in found.text
    assert "guest@guests.example" not in found.text.casefold().replace(f'value="{ADDRESS.casefold()}"', "")

    chosen = {"do": "lift", "digest": entry.digest, "cause": "by_hand"}
    asked = await send(operator, **chosen)
    assert "Lift 1 suppression?" in asked.text
    nameless = await send(operator, **chosen, confirmed="yes")
    assert (nameless.status_code, "give your name" in nameless.text) == (400, True)
    assert (await entries(behind))[0].lifts == ()
    lifted = await send(operator, **chosen, confirmed="yes", by=" Jo\r\n Smith ", reason="all is well")
    assert "1 suppression lifted" in lifted.text
    ((lift,),) = [each.lifts for each in await entries(behind)]
    assert (lift.by, lift.reason) == ("Jo Smith (console)", "all is well")
    assert "lifted" in (await operator.get("/console/suppressions", params={"q": ADDRESS})).text
    assert "does not count any more" in (await send(operator, **chosen)).text


@pytest.mark.parametrize(
    "fields",
    [
        {"do": "add", "address": "nobody", "by": "Jo"},
        {"do": "add", "address": "a@b.example"},
        {"do": "lift", "digest": "0" * 8, "cause": "gone"},
        {"do": "lift", "digest": "0" * 32, "cause": "everything"},
        {"do": "lift", "digest": ".*" * 16, "cause": "gone", "confirmed": "yes"},
        {"do": "forget"},
        {},
    ],
)
async def test_what_cannot_be_meant_changes_nothing(
    operator: httpx.AsyncClient, behind: ConsoleQueries, fields: dict[str, str]
) -> None:
    before = await behind.suppressions.page(limit=100)
    assert (await send(operator, **fields)).status_code == 400
    assert await behind.suppressions.page(limit=100) == before


async def test_the_list_leads_to_older_ones(operator: httpx.AsyncClient, behind: ConsoleQueries) -> None:
    evidence = Evidence(source="ses", source_id="1", at=datetime.now(UTC))
    for number in range(31):
        known = await behind.suppressions.known(ChannelKind.EMAIL, f"many{number}@guests.example")
        await behind.suppressions.note(ChannelKind.EMAIL, known.digest, Cause.COMPLAINED, evidence)
    newest = await operator.get("/console/suppressions?cause=complained")
    older = re.search(r'href="(/console/suppressions\?[^"]+)" rel="next"', newest.text)
    assert older is not None
    assert "complained" in (await operator.get(older[1].replace("&amp;", "&"))).text
    assert (await operator.get("/console/suppressions?after=yesterday")).status_code == 400
