"""A further channel beside e-mail goes through the whole guarantee, and neither channel stops the other."""

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import aio_pika
import pytest

from notification_service.broker.topology import PARKED
from notification_service.records.audit import AuditReport, examine
from tests.e2e.test_parked import command, parked
from tests.faults.judge import Judge
from tests.samples import fresh
from tests.stack.example_channel import NO_TITLE, OTHERS, both_channels
from tests.stack.inspection import end_well
from tests.stack.place import RECORDS, Document, Place, Service, until
from tests.stack.publisher import Publication, event
from tests.stack.smtp import SmtpServer
from tests.stack.smtp_rules import Rule
from tests.stack.webhook import Answer, Webhook

PATIENCE = 60
NOT_NOW, GONE, NO_LOGIN = Answer(503), Answer(410), Answer(401)


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with Webhook() as running:
        yield running


def both(place: Place, webhook: Webhook, **changes: str) -> Service:
    return both_channels(place, WEBHOOK_PORT=str(webhook.port), **{"LEASE_SECONDS": "2", **changes})


def outcomes(place: Place, channel: str) -> dict[str, str]:
    """What became of each event in one channel, by its id."""
    found = place.database[RECORDS].find({"notification_type": channel})
    return {event_id: record["outcome"] for record in found for event_id in record["event_ids"]}


def record(place: Place, data: Document, channel: str) -> Document:
    found = place.database[RECORDS].find_one({"event_ids": data["event_id"], "notification_type": channel})
    assert found is not None
    return found


def all_are(place: Place, outcome: str, *events: Document, channels: tuple[str, ...] = ("email", "push")) -> bool:
    wanted = {data["event_id"]: outcome for data in events}
    return all(outcomes(place, channel) == wanted for channel in channels)


def balance(judge: Judge, events: Path | None = None, *, repair: bool = False) -> AuditReport:
    """What `reconcile` finds that knows of both channels."""
    return asyncio.run(examine(judge.settings(), events=events or judge.log, repair=repair, others=OTHERS))


def texts(report: AuditReport) -> str:
    return "\n".join(finding.text for finding in report.findings)


def at_rest(place: Place) -> bool:
    return all(queue.empty for name, queue in Judge(place).queues().items() if name != PARKED)


def put(place: Place, queue: str, body: Document, **headers: str) -> None:
    """Into one queue, past the exchange."""

    async def publish() -> None:
        async with await aio_pika.connect(place.amqp_url) as connection:
            channel = await connection.channel()
            message = aio_pika.Message(json.dumps(body).encode(), headers=dict(headers), delivery_mode=2)
            await channel.default_exchange.publish(message, queue)

    asyncio.run(publish())


def test_each_event_is_one_notification_of_each_channel(place: Place, webhook: Webhook) -> None:
    judge = Judge(place)
    events = [fresh(kind) for kind in ("booking.confirmed", "payment.success", "payment.failed", "booking.cancelled")]
    with both(place, webhook) as service:
        judge.publish(*events)
        until(lambda: all_are(place, "sent", *events), timeout=PATIENCE)
        judge.publish(*events)
        until(lambda: len(service.said("event.duplicate")) >= 8, timeout=PATIENCE)
        end_well(service)
    pushed = [record(place, data, "push") for data in events]
    assert sorted(webhook.references) == sorted(each["message_id"] for each in pushed)
    assert sorted(str(mail.message_id) for mail in place.mails()) == sorted(
        record(place, data, "email")["message_id"] for data in events
    )
    assert {each["_id"] for each in pushed} == {reference.removeprefix("push-") for reference in webhook.references}
    report = balance(judge)
    assert (texts(report), report.notes) == ("", [])
    assert (report.confirmed, report.recorded, report.outcomes.total()) == (4, 4, 8)
    assert at_rest(place)


def test_a_retry_waits_in_the_channel_s_own_queue_and_comes_back_to_that_channel_alone(
    place: Place, webhook: Webhook
) -> None:
    webhook.script(NOT_NOW, Answer(503, retry_after=2))
    data = fresh("booking.confirmed")
    with both(place, webhook) as service:
        place.publish(event(data))
        until(lambda: all_are(place, "sent", data), timeout=PATIENCE)
        end_well(service)
    tried = record(place, data, "push")["attempts"]
    assert [(each["result"], each["code"]) for each in tried] == [
        ("deferred", 503),
        ("deferred", 503),
        ("accepted", 204),
    ]
    assert len(record(place, data, "email")["attempts"]) == len(place.mails()) == len(webhook.references) == 1
    queues = Judge(place).queues()
    assert {"notification.push", "notification.push.again", "notification.push.retry.1s"} < queues.keys()


def test_what_one_channel_parked_is_listed_replayed_and_discarded_by_channel(place: Place, webhook: Webhook) -> None:
    """A replay of an event that one channel parked sends nothing by the other."""
    webhook.script(always=NOT_NOW)
    sent, refused = fresh("booking.confirmed"), fresh("payment.success")
    given_up = fresh("payment.failed", user_email="late@example.com")
    place.smtp.script([Rule(at="dot", match="late@", reply="451 4.3.0 not now")])
    with both(place, webhook, MAX_RETRY_ATTEMPTS="0") as service:
        place.publish(event(sent), event(given_up))
        until(lambda: place.depth(PARKED) == 3, timeout=PATIENCE)
        assert outcomes(place, "email") == {sent["event_id"]: "sent", given_up["event_id"]: "parked"}
        listed = json.loads(parked(place, "list", "--json"))["events"]
        assert sorted((each["event_id"], each["channel"]) for each in listed) == sorted(
            [(sent["event_id"], "push"), (given_up["event_id"], "push"), (given_up["event_id"], "email")]
        )
        assert "2 parked" in parked(place, "list", "--channel", "push")
        assert "(push)" in parked(place, "list")
        mails = len(place.mails())
        webhook.script()
        place.smtp.clear()
        assert "2 published again" in parked(place, "replay", "--yes", "--channel", "push")
        until(lambda: all_are(place, "sent", sent, given_up, channels=("push",)), timeout=PATIENCE)
        assert (len(webhook.references), len(place.mails()), place.depth(PARKED)) == (2, mails, 1)
        assert outcomes(place, "email")[given_up["event_id"]] == "parked"
        assert "1 published again" in parked(place, "replay", "--yes")
        until(lambda: all_are(place, "sent", sent, given_up), timeout=PATIENCE)
        assert (len(webhook.references), len(place.mails())) == (2, mails + 1)

        webhook.script(always=NOT_NOW)
        place.publish(event(refused))
        until(lambda: place.depth(PARKED) == 1, timeout=PATIENCE)
        assert "0 discarded" in parked(place, "discard", "--yes", "--channel", "email")
        assert "1 discarded" in parked(place, "discard", "--yes", "--channel", "push")
        assert outcomes(place, "push")[refused["event_id"]] == "parked"
        assert outcomes(place, "email")[refused["event_id"]] == "sent"
        end_well(service)
    assert at_rest(place)


def test_what_cannot_be_composed_for_one_channel_is_parked_for_that_channel(place: Place, webhook: Webhook) -> None:
    data = fresh("payment.success", booking_id=NO_TITLE, user_id="user456")
    with both(place, webhook) as service:
        place.publish(event(data))
        until(lambda: place.depth(PARKED) == 1, timeout=PATIENCE)
        until(lambda: outcomes(place, "email") == {data["event_id"]: "sent"}, timeout=PATIENCE)
        end_well(service)
    (event_parked,) = json.loads(parked(place, "list", "--json"))["events"]
    assert (event_parked["channel"], event_parked["reason"]) == ("push", "parked(template_error)")


def test_without_an_address_an_optional_channel_skips_and_e_mail_waits_for_a_person(
    place: Place, webhook: Webhook
) -> None:
    judge = Judge(place)
    place.database["users"].insert_one({"_id": "no address", "first_name": "Bob"})
    nobody = fresh("payment.success", user_id="nobody", booking_id="BOOK-nobody")
    without = fresh("payment.success", user_id="no address")
    with both(place, webhook) as service:
        judge.publish(nobody, without)
        until(lambda: all_are(place, "skipped", nobody, without, channels=("push",)), timeout=PATIENCE)
        until(lambda: all_are(place, "rejected", nobody, without, channels=("email",)), timeout=PATIENCE)
        until(lambda: at_rest(place), timeout=PATIENCE)
        end_well(service)
    assert {record(place, data, "push")["reason"] for data in (nobody, without)} == {"no_address"}
    assert record(place, without, "email")["reason"] == "bad_address"
    listed = json.loads(parked(place, "list", "--json"))["events"]
    assert {each["channel"] for each in listed} == {"email"}
    assert webhook.references == []
    assert texts(balance(judge)) == ""


def test_reconcile_distinguishes_an_event_that_a_channel_lost_from_one_with_nothing_to_send(
    place: Place, webhook: Webhook, tmp_path: Path
) -> None:
    judge = Judge(place)
    lost, skipped = fresh("booking.confirmed"), fresh("payment.success", user_id="nobody", booking_id="BOOK-nobody")
    with both(place, webhook) as service:
        judge.publish(lost, skipped)
        until(lambda: len(place.records()) == 4, timeout=PATIENCE)
        until(lambda: at_rest(place), timeout=PATIENCE)
        gone = record(place, lost, "push")
        place.database[RECORDS].delete_one({"_id": gone["_id"]})
        report = balance(judge)
        assert f"event {lost['event_id']} was confirmed and has no record of its push" in texts(report)
        assert f"notification {gone['_id']} has a verdict in Redis and no record" in texts(report)
        assert skipped["event_id"] not in texts(report)
        assert len(report.findings) == 2
        assert judge.balance().balanced is False  # the verdict; an auditor of e-mail alone misses no push
        assert "of its push" not in texts(judge.balance())
        mails, pushed = len(place.mails()), len(webhook.references)
        assert balance(judge, repair=True).published == 1
        until(lambda: outcomes(place, "push").get(lost["event_id"]) == "sent", timeout=PATIENCE)
        until(lambda: at_rest(place), timeout=PATIENCE)
        end_well(service)
    # Redis remembered that it was sent, so the repair restored the record and sent nothing.
    assert (len(place.mails()), len(webhook.references)) == (mails, pushed)
    assert texts(balance(judge)) == ""


def test_an_unreadable_event_is_recorded_and_parked_once_for_each_channel(place: Place, webhook: Webhook) -> None:
    with both(place, webhook) as service:
        place.publish(Publication("booking.confirmed", b"{torn", "torn-1"), Publication("booking.confirmed", b"{torn"))
        until(lambda: place.depth(PARKED) == 4, timeout=PATIENCE)
        end_well(service)
    assert sorted((each["notification_type"], each["outcome"]) for each in place.records()) == [
        ("email", "rejected"),
        ("push", "rejected"),
    ]
    listed = json.loads(parked(place, "list", "--json"))["events"]
    assert sorted(each["channel"] for each in listed) == ["email", "email", "push", "push"]
    assert (place.mails(), webhook.references) == ([], [])


def gauges(service: Service) -> dict[str, str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{service.port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


def health(service: Service) -> Document:
    with urllib.request.urlopen(f"http://127.0.0.1:{service.port}/health", timeout=5) as answer:
        found: Document = json.loads(answer.read())
    return found


def test_the_mail_server_is_down_the_whole_time_and_the_other_channel_goes_on(
    place: Place, webhook: Webhook, own_smtp: SmtpServer
) -> None:
    events = [fresh("booking.confirmed") for _ in range(20)]
    with own_smtp:
        pass  # its certificates are there from then on
    server = {"SMTP_PORT": str(own_smtp.port), "SMTP_CA_FILE": str(own_smtp.ca_file)}
    with both(place, webhook, RABBITMQ_PREFETCH="5", **server) as service:
        place.publish(*map(event, events))
        until(lambda: all_are(place, "sent", *events, channels=("push",)), timeout=PATIENCE)
        assert "sent" not in outcomes(place, "email").values()
        seen = gauges(service)
        assert seen['notification_channel_available{channel="smtp",relay=""}'] == "0.0"
        assert seen['notification_channel_available{channel="webhook",relay=""}'] == "1.0"
        assert seen['notification_breaker_state{channel="webhook",relay="",state="closed"}'] == "1.0"
        parts = health(service)["parts"]
        assert (parts["smtp"]["ok"], parts["webhook"]["ok"]) == (False, True)
        assert {line["channel"] for line in service.said("channel.breaker")} == {"smtp"}
        with own_smtp:
            until(lambda: all_are(place, "sent", *events), timeout=PATIENCE)
            end_well(service)
            assert len(own_smtp.mails()) == 20
    assert len(webhook.references) == 20


@pytest.mark.parametrize("how", ["down", "refuses_us"])
def test_the_other_channel_is_unavailable_the_whole_time_and_mail_goes_on(
    place: Place, webhook: Webhook, how: str
) -> None:
    if how == "down":
        webhook.stop()
    else:
        webhook.script(always=NO_LOGIN)
    events = [fresh("booking.confirmed", user_email=f"jane@{n}.example") for n in range(20)]
    with both(place, webhook, RABBITMQ_PREFETCH="5") as service:
        place.publish(*map(event, events))
        until(lambda: all_are(place, "sent", *events, channels=("email",)), timeout=PATIENCE)
        assert "sent" not in outcomes(place, "push").values()
        assert gauges(service)['notification_channel_available{channel="webhook",relay=""}'] == "0.0"
        assert {line["channel"] for line in service.said("channel.breaker")} == {"webhook"}
        if how == "down":
            webhook.start()
        else:
            webhook.script()
        until(lambda: all_are(place, "sent", *events), timeout=PATIENCE)
        end_well(service)
    assert (len(place.mails()), len(webhook.references), place.depth(PARKED)) == (20, 20, 0)


def test_sigterm_drains_both_channels(place: Place, webhook: Webhook) -> None:
    webhook.script(always=Answer(seconds=1))
    place.smtp.script([Rule(at="dot", action="late", seconds=1)])
    events = [fresh("booking.confirmed") for _ in range(4)]
    with both(place, webhook, LEASE_SECONDS="5") as service:
        place.publish(*map(event, events))
        until(lambda: webhook.references and place.mails(), timeout=PATIENCE)
        end_well(service)
        assert service.said("service.draining")[0]["under_way"] > 1
    with both(place, webhook) as service:
        until(lambda: all_are(place, "sent", *events), timeout=PATIENCE)
        end_well(service)
    assert (len(webhook.references), len(place.mails())) == (4, 4)
    assert not any(each.get("possible_duplicate") for each in place.records())


def test_sigterm_does_not_wait_for_a_channel_that_is_unavailable(place: Place, webhook: Webhook) -> None:
    webhook.stop()
    with both(place, webhook) as service:
        place.publish(event(fresh("booking.confirmed")))
        until(lambda: service.said("channel.breaker"), timeout=PATIENCE)
        service.terminate()
        until(lambda: service.exit_code == "0", timeout=10)


def test_an_answer_that_was_lost_is_sent_once_more_and_marked_in_that_channel_alone(
    place: Place, webhook: Webhook
) -> None:
    webhook.script(Answer(lost=True))
    data = fresh("booking.confirmed")
    with both(place, webhook) as service:
        place.publish(event(data))
        until(lambda: all_are(place, "sent", data), timeout=PATIENCE)
        end_well(service)
    assert webhook.references == [record(place, data, "push")["message_id"]] * 2
    assert record(place, data, "push")["possible_duplicate"] is True
    assert not record(place, data, "email").get("possible_duplicate")
    assert len(place.mails()) == 1


def test_what_the_provider_refused_is_replayed_from_its_record_by_its_channel(place: Place, webhook: Webhook) -> None:
    webhook.script(GONE)
    data = fresh("booking.confirmed")
    with both(place, webhook) as service:
        place.publish(event(data))
        until(lambda: outcomes(place, "push") == {data["event_id"]: "bounced"}, timeout=PATIENCE)
        until(lambda: outcomes(place, "email") == {data["event_id"]: "sent"}, timeout=PATIENCE)
        assert "1 published again" in command(place, "bounced", "replay", "--yes", "--code", "410")
        until(lambda: all_are(place, "sent", data), timeout=PATIENCE)
        end_well(service)
    assert (len(webhook.references), len(place.mails())) == (1, 1)


def test_find_shows_the_channel_and_searches_by_it(place: Place, webhook: Webhook) -> None:
    data = fresh("booking.confirmed")
    with both(place, webhook):
        place.publish(event(data))
        until(lambda: all_are(place, "sent", data), timeout=PATIENCE)
    found = json.loads(command(place, "find", data["booking_id"], "--json"))["records"]
    assert sorted(each["notification_type"] for each in found) == ["email", "push"]
    (pushed,) = json.loads(command(place, "find", "--channel", "push", "--json"))["records"]
    assert pushed["_id"] == record(place, data, "push")["_id"]
    assert "channel      push" in command(place, "find", data["booking_id"], "--channel", "push")


def test_nothing_goes_out_by_any_channel_in_a_simulation(place: Place, webhook: Webhook) -> None:
    data = fresh("booking.confirmed")
    with both(place, webhook, DELIVERY_MODE="simulate") as service:
        place.publish(event(data))
        until(lambda: all_are(place, "simulated", data), timeout=PATIENCE)
        end_well(service)
    assert (place.mails(), webhook.asked) == ([], 0)
    assert sorted(path.suffix for path in place.outbox.iterdir()) == [".eml", ".txt"]


def test_tickets_of_the_express_lane_are_sent_once(place: Place, webhook: Webhook) -> None:
    """The express lane is for e-mail; the other channel takes no copy from it."""
    events = [fresh("booking.confirmed") for _ in range(10)]
    with both(place, webhook, RABBITMQ_EXPRESS_LANE="true") as service:
        place.publish(*map(event, events))
        until(lambda: all_are(place, "sent", *events), timeout=PATIENCE)
        until(lambda: at_rest(place), timeout=PATIENCE)
        end_well(service)
    assert (len(place.mails()), len(webhook.references)) == (10, 10)


def test_a_message_of_the_time_before_the_channels_is_an_e_mail_s(place: Place, webhook: Webhook) -> None:
    """It lies in an e-mail's retry queue or in the parking queue, without the header."""
    waiting, waits_for_a_person = fresh("booking.confirmed"), fresh("booking.confirmed")
    types = {"x-event-type": "booking.confirmed"}
    with both(place, webhook):
        pass  # so that all queues stand
    put(place, "notification.again", waiting, **types)
    put(place, PARKED, waits_for_a_person, **types, **{"x-reason": "parked(retries_exhausted)"})
    (listed,) = json.loads(parked(place, "list", "--json"))["events"]
    assert (listed["event_id"], listed["channel"]) == (waits_for_a_person["event_id"], "email")
    assert "1 parked" in parked(place, "list", "--channel", "email")
    with both(place, webhook) as service:
        assert "1 published again" in parked(place, "replay", "--yes")
        until(lambda: all_are(place, "sent", waiting, waits_for_a_person, channels=("email",)), timeout=PATIENCE)
        until(lambda: at_rest(place), timeout=PATIENCE)
        end_well(service)
    assert (outcomes(place, "push"), webhook.references) == ({}, [])


@pytest.mark.parametrize("queue", ["notification.push", "notification.push.again"])
def test_what_the_broker_itself_takes_from_a_channel_is_parked_for_that_channel(
    place: Place, webhook: Webhook, queue: str
) -> None:
    data = fresh("booking.confirmed")
    with both(place, webhook):
        pass  # so that all queues stand
    # A policy may make the limit of a queue smaller than its own.
    place.stack.broker.ctl(
        *("set_policy", "-p", place.database_name, "few", f"^{queue}$", json.dumps({"delivery-limit": 1})),
        *("--apply-to", "queues"),
    )
    put(place, queue, data, **{"x-event-type": "booking.confirmed"})
    asyncio.run(_give_back(place.amqp_url, queue, times=2))
    until(lambda: place.depth(PARKED) == 1, timeout=PATIENCE)
    (listed,) = json.loads(parked(place, "list", "--json"))["events"]
    assert (listed["channel"], listed["reason"]) == ("push", "broker(delivery_limit)")
    with both(place, webhook) as service:
        assert "1 published again" in parked(place, "replay", "--yes", "--channel", "push")
        until(lambda: outcomes(place, "push") == {data["event_id"]: "sent"}, timeout=PATIENCE)
        end_well(service)
    assert (outcomes(place, "email"), place.mails()) == ({}, [])


async def _give_back(url: str, queue: str, *, times: int) -> None:
    async with await aio_pika.connect(url) as connection:
        taken = await (await connection.channel()).get_queue(queue, ensure=False)
        for _ in range(times):
            async with asyncio.timeout(10):
                while (message := await taken.get(fail=False)) is None:  # noqa: ASYNC110 - the broker tells nobody
                    await asyncio.sleep(0.01)
            await message.nack(requeue=True)
