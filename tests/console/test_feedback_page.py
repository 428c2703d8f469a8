"""The console's page on what became of mails after they were sent, and what a record shows of it."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from notification_service.console import queries
from notification_service.console.queries import ConsoleQueries
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.signals import Signal, SignalKind
from notification_service.feedback.handling import SignalHandling
from notification_service.settings import Settings
from notification_service.stores.mongo import client as mongo
from notification_service.stores.mongo.signals import MongoSignals
from tests.console import scene
from tests.console.conftest import ORIGIN, console
from tests.console.test_http import record
from tests.stack.place import RECORDS, Place

SCRIPT = "<script>alert(1)</script>"


def signal(notification: str, name: str, kind: SignalKind, code: str | None = None, detail: str = "") -> Signal:
    at = datetime.now(UTC) - timedelta(minutes=len(name))
    return Signal(
        source="ses", source_id=name, kind=kind, at=at, notification_id=notification, code=code, detail=detail
    )


@pytest.fixture
def asked(settings: Settings, seen: Place) -> Iterator[Settings]:
    feedback = settings.feedback.model_copy(update={"return_path_domain": "bounces.cinema.example"})
    yield settings.model_copy(update={"feedback": feedback})
    seen.database["notification_signals"].drop()
    seen.database[RECORDS].update_many({}, {"$unset": {"delivery": ""}})


@pytest.fixture
async def opened(asked: Settings) -> AsyncIterator[ConsoleQueries]:
    async with queries.opened(asked) as data:
        yield data


@pytest.fixture
async def browser(opened: ConsoleQueries) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(console(opened)), base_url=ORIGIN) as client:
        await client.post("/console/login", data={"token": scene.TOKEN})
        yield client


async def hear(seen: Place, *signals: Signal) -> None:
    async with mongo.open_database(seen.stack.mongodb_uri, seen.database_name) as database:
        handling = SignalHandling(MongoSignals(database, RECORDS), (), lambda _: None)
        for each in signals:
            await handling.handle(each)


async def test_bounces_stand_there_by_reason_with_what_to_do_and_gmail_is_never_zero(
    seen: Place, browser: httpx.AsyncClient
) -> None:
    ours = record(seen, "receipt")["_id"]
    place = seen.database[RECORDS]
    gmail, yahoo = (str(each["_id"]) for each in place.find({"outcome": "sent"}).sort("_id").limit(2))
    place.update_one({"_id": gmail}, {"$set": {"recipient": "jane@gmail.com", "created_at": datetime.now(UTC)}})
    place.update_one({"_id": yahoo}, {"$set": {"recipient": "jane@yahoo.com", "created_at": datetime.now(UTC)}})
    await hear(
        seen,
        signal(gmail, "a", SignalKind.BOUNCED, "5.1.1", f"550 5.1.1 {SCRIPT} jane@gmail.com"),
        signal(yahoo, "bb", SignalKind.COMPLAINED),
        signal(ours, "ccc", SignalKind.BOUNCED, "5.7.26", "DMARC"),
        signal(ours, "dddd", SignalKind.BOUNCED, SCRIPT),
    )
    page = await browser.get("/console/feedback")
    assert page.status_code == 200
    assert "There is no such mailbox" in page.text
    assert "Ask the customer for another address" in page.text
    assert "SPF, DKIM and DMARC" in page.text
    assert SCRIPT not in page.text
    (of_gmail,) = [row for row in page.text.split("<tr>") if "<td>gmail</td>" in row]
    assert of_gmail.count("not reported") == 2
    (of_yahoo,) = [row for row in page.text.split("<tr>") if "<td>yahoo</td>" in row]
    assert "over the limit" in of_yahoo
    assert "jane@" not in page.text
    found = await browser.get("/console/?delivery=failed")
    assert f"/console/notifications/{gmail}" in found.text
    assert f"/console/notifications/{yahoo}" not in found.text
    told = await browser.get(f"/console/notifications/{gmail}")
    assert "then failed 5.1.1" in told.text
    assert "by ses" in told.text
    assert SCRIPT not in told.text
    assert "jane@gmail" not in told.text


async def test_a_mail_counts_once_however_often_it_is_reported_and_a_text_message_never(
    seen: Place, opened: ConsoleQueries
) -> None:
    of_mail, text = record(seen, "receipt"), "f" * 32
    mail = str(of_mail["_id"])
    seen.database[RECORDS].insert_one({**of_mail, "_id": text, "notification_type": "sms"})
    by_webhook, by_sms = signal(mail, "a", SignalKind.COMPLAINED), signal(text, "bb", SignalKind.BOUNCED, "30003")
    bounce = signal(mail, "ccc", SignalKind.BOUNCED, "5.1.1")
    doubled = [replace(each, source="report") for each in (by_webhook, bounce)]
    try:
        await hear(seen, by_webhook, bounce, *doubled, replace(by_sms, channel=ChannelKind.SMS))
    finally:
        seen.database[RECORDS].delete_one({"_id": text})
    since = datetime.now(UTC) - timedelta(days=1)
    counted = await opened.signal_reports.by_mailbox(since)
    assert sorted(counted.values()) == [1, 1]
    assert [(each.code, each.count) for each in await opened.signal_reports.failures(since)] == [("5.1.1", 1)]


async def test_without_anything_heard_it_says_so(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/console/feedback")
    assert "No bounce was heard of" in page.text
    assert 'href="/console/feedback"' in page.text


async def test_where_feedback_is_heard_the_list_is_asked_and_the_page_says_nothing_else(
    browser: httpx.AsyncClient, operator: httpx.AsyncClient
) -> None:
    assert "Suppression is off" not in (await browser.get("/console/suppressions")).text
    assert "Suppression is off" in (await operator.get("/console/suppressions")).text


async def test_without_feedback_there_is_no_such_page(operator: httpx.AsyncClient) -> None:
    assert (await operator.get("/console/feedback")).status_code == 404
    assert "/console/feedback" not in (await operator.get("/console/")).text
