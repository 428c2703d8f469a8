"""SMS beside e-mail: each channel has its record, its queue and its doubts, and neither stops the other."""

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

import httpx
import pytest

from notification_service.bootstrap import further_channels
from notification_service.broker.topology import PARKED
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.feedback.providers.twilio import signature
from notification_service.records.audit import examine
from tests.e2e.test_feedback import listening
from tests.e2e.test_parked import parked
from tests.e2e.test_retention import cli
from tests.faults.judge import Judge
from tests.samples import fresh
from tests.stack import twilio as doubles
from tests.stack.inspection import end_well
from tests.stack.place import RECORDS, Document, Place, Service, until
from tests.stack.publisher import event
from tests.stack.twilio import TAKEN, TAKEN_AND_500, TAKEN_AND_LOST, Reply, Twilio, refusal

PATIENCE = 60
NUMBERS = [f"+49151123456{place:02}" for place in range(20, 60)]
HELD_BACK = 'notification_held_back_total{channel="sms",setting="SMS_QUIET_HOURS"}'
HELD = {"event_types": further_channels.with_answers(("booking.cancelled", "payment.failed"))}


@pytest.fixture
def twilio() -> Iterator[Twilio]:
    with Twilio() as running:
        yield running


def service(place: Place, twilio: Twilio, **changes: str) -> Service:
    return place.service(**{**twilio.environment, "LEASE_SECONDS": "2", "NOTIFICATION_TIMEOUT": "2", **changes})


def records(place: Place, channel: str = "sms") -> dict[str, Document]:
    """The record of each event in one channel, by the event's id."""
    found = place.database[RECORDS].find({"notification_type": channel})
    return {event_id: record for record in found for event_id in record["event_ids"]}


def outcomes(place: Place, channel: str = "sms") -> dict[str, str]:
    return {
        event_id: ".".join(filter(None, (record["outcome"], record.get("reason"))))
        for event_id, record in records(place, channel).items()
    }


def settled(place: Place, wanted: dict[str, str]) -> bool:
    return outcomes(place) == wanted


def test_each_event_has_one_record_of_each_channel_and_only_the_chosen_ones_are_sent(
    place: Place, twilio: Twilio
) -> None:
    judge = Judge(place)
    phone = {"phone": NUMBERS[0]}
    cancelled, failed = fresh("booking.cancelled", **phone), fresh("payment.failed", **phone)
    confirmed, succeeded = fresh("booking.confirmed", **phone), fresh("payment.success", **phone)
    refunded, nobody = fresh("payment.refunded", **phone), fresh("booking.cancelled")
    landline = fresh("booking.cancelled", phone="+49301234567")
    wanted = {
        cancelled["event_id"]: "sent",
        failed["event_id"]: "sent",
        confirmed["event_id"]: "skipped.not_selected",
        succeeded["event_id"]: "skipped.not_selected",
        nobody["event_id"]: "skipped.no_address",
        landline["event_id"]: "rejected.bad_address",
    }
    events = (cancelled, failed, confirmed, succeeded, refunded, nobody, landline)
    with service(place, twilio) as running:
        judge.publish(*events)
        until(lambda: settled(place, wanted), timeout=PATIENCE)
        until(lambda: len(outcomes(place, "email")) == len(events), timeout=PATIENCE)
        judge.publish(*events)
        until(lambda: len(running.said("event.duplicate")) >= len(wanted), timeout=PATIENCE)
        end_well(running)
    assert len(twilio.messages) == twilio.requests == 2
    assert sorted(each.form.get("ValidityPeriod", "") for each in twilio.messages) == ["", ""]
    assert {each.to for each in twilio.messages} == {NUMBERS[0]}
    assert "a fixed line" in records(place)[landline["event_id"]]["detail"]
    others = {ChannelKind.SMS: HELD["event_types"]}
    report = asyncio.run(examine(judge.settings(), events=judge.log, repair=False, others=others))
    assert [finding.text for finding in report.findings] == []
    assert NUMBERS[0] not in running.log.read_text("utf-8")
    assert doubles.SECRET not in running.log.read_text("utf-8")


def test_an_sms_in_doubt_is_looked_for_before_it_is_sent_again(place: Place, twilio: Twilio) -> None:
    """Taken and the answer lost, taken and answered with 500, and never taken: one message each."""
    events = [fresh("booking.cancelled", phone=number) for number in NUMBERS[:3]]
    twilio.script(TAKEN_AND_LOST, TAKEN_AND_500, Reply(lost=True, takes=False))
    with service(place, twilio) as running:
        place.publish(*map(event, events))
        until(lambda: settled(place, {each["event_id"]: "sent" for each in events}), timeout=PATIENCE)
        end_well(running)
    assert sorted(each.to for each in twilio.messages) == NUMBERS[:3]
    duplicates = [record.get("possible_duplicate") for record in records(place).values()]
    assert duplicates.count(True) == 1
    assert place.depth(PARKED) == 0


def test_while_the_list_cannot_be_read_nothing_is_sent_blindly(place: Place, twilio: Twilio) -> None:
    data = fresh("booking.cancelled", phone=NUMBERS[0])
    twilio.script(TAKEN_AND_LOST)
    twilio.list_fault = doubles.LIST_DOWN
    with service(place, twilio) as running:
        place.publish(event(data))
        until(lambda: len(running.said("mail.look_up_failed")) >= 2, timeout=PATIENCE)
        assert len(twilio.messages) == 1
        twilio.list_fault = None
        until(lambda: settled(place, {data["event_id"]: "sent"}), timeout=PATIENCE)
        end_well(running)
    assert len(twilio.messages) == 1


def test_one_bad_number_stops_no_other(place: Place, twilio: Twilio) -> None:
    codes = (21211, 21614, 21635, 21610, 21408, 99999)
    bad = [fresh("booking.cancelled", phone=number) for number in NUMBERS[: len(codes)]]
    good = [fresh("booking.cancelled", phone=number) for number in NUMBERS[10:15]]
    twilio.numbers.update(zip(NUMBERS, codes, strict=False))
    reasons = (
        "bounced.21211",
        "bounced.21614",
        "bounced.21635",
        "skipped.unsubscribed",
        *["parked.provider_refused"] * 2,
    )
    wanted = {data["event_id"]: reason for data, reason in zip(bad, reasons, strict=True)}
    wanted |= {data["event_id"]: "sent" for data in good}
    with service(place, twilio) as running:
        place.publish(*map(event, (*bad, *good)))
        until(lambda: settled(place, wanted), timeout=PATIENCE)
        assert "2 parked" in parked(place, "list", "--channel", "sms")
        assert not running.said("channel.breaker")
        end_well(running)


def test_a_wrong_login_makes_sms_wait_and_mails_go(place: Place, twilio: Twilio) -> None:
    events = [fresh("booking.cancelled", phone=number) for number in NUMBERS[:4]]
    twilio.script(always=refusal(401, 20003))
    with service(place, twilio) as running:
        place.publish(*map(event, events))
        until(lambda: len(place.mails()) == 4, timeout=PATIENCE)
        until(lambda: bool(running.said("channel.breaker")), timeout=PATIENCE)
        (opened, *_) = running.said("channel.breaker")
        assert (opened["channel"], opened["state"]) == ("twilio", "open")
        assert "TWILIO_API_SECRET" in opened["hint"]
        twilio.script(always=TAKEN)
        until(lambda: settled(place, {each["event_id"]: "sent" for each in events}), timeout=PATIENCE)
        end_well(running)
    assert len(twilio.messages) == 4


def test_a_provider_that_hangs_delays_no_mail(place: Place, twilio: Twilio) -> None:
    """More messages than conversations at once: all of them hang, and every mail is out before the first ends."""
    events = [fresh("booking.cancelled", phone=number) for number in NUMBERS]
    twilio.script(always=Reply(seconds=60, takes=False, lost=True))
    with service(place, twilio, NOTIFICATION_TIMEOUT="30", LEASE_SECONDS="10") as running:
        place.publish(*map(event, events))
        until(lambda: len(place.mails()) == len(events), timeout=25)
        until(lambda: list(outcomes(place, "email").values()).count("sent") == len(events), timeout=5)
        assert not {"sent", "parked", "unknown"} & set(outcomes(place).values())
        running.kill()


def test_a_day_has_so_many_sms_and_the_others_wait(place: Place, twilio: Twilio) -> None:
    events = [fresh("booking.cancelled", phone=number) for number in NUMBERS[:3]]
    with service(place, twilio, SMS_MAX_PER_DAY="1") as running:
        place.publish(*map(event, events))
        until(lambda: list(outcomes(place).values()).count("sent") == 1, timeout=PATIENCE)
        until(lambda: sum("SMS_MAX_PER_DAY" in str(each.get("reason")) for each in records(place).values()) == 2)
        until(lambda: len(place.mails()) == 3, timeout=PATIENCE)
        end_well(running)
    assert len(twilio.messages) == 1


def test_in_quiet_hours_an_sms_waits_through_a_crash_and_the_mail_goes(place: Place, twilio: Twilio) -> None:
    later = datetime.now(UTC) + timedelta(hours=3)
    night = {"SMS_QUIET_HOURS": f"{datetime.now(UTC):%H:%M}-{later:%H:%M}", "DEFAULT_TIME_ZONE": "UTC"}
    calm, urgent = fresh("booking.cancelled", phone=NUMBERS[0]), fresh("booking.cancelled", phone=NUMBERS[1])
    urgent["showtime"] = f"{datetime.now(UTC) + timedelta(hours=4):%Y-%m-%dT%H:%MZ}"
    with service(place, twilio, **night) as running:
        place.publish(event(calm), event(urgent))
        until(lambda: outcomes(place).get(urgent["event_id"]) == "sent", timeout=PATIENCE)
        until(lambda: outcomes(place).get(calm["event_id"], "").startswith("waiting"), timeout=PATIENCE)
        until(lambda: len(place.mails()) == 2, timeout=PATIENCE)
        until(lambda: any("QUIET" in each["reason"] for each in running.said("event.retry_scheduled")))
        with urlopen(f"http://127.0.0.1:{running.port}/metrics", timeout=10) as answer:
            held = sample_of(answer.read().decode(), HELD_BACK)
        running.kill()
    assert held == 1
    assert f"{later:%H:%M} UTC (SMS_QUIET_HOURS)" in cli(place, "find", calm["booking_id"], "--channel", "sms").stdout
    assert sum(each.ready for name, each in Judge(place).queues().items() if name.startswith("notification.sms.retry"))
    with service(place, twilio, **night) as running:
        place.publish(event(calm))
        until(lambda: len(running.said("event.retry_scheduled")) == 1, timeout=PATIENCE)
        end_well(running)
    assert [each.to for each in twilio.messages] == [NUMBERS[1]]


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_what_waited_for_the_morning_goes_then_and_once_though_workers_die(place: Place, twilio: Twilio) -> None:
    """A night that ends with the next minute but one, and a worker that is killed every ten seconds of it."""
    morning = (datetime.now(UTC) + timedelta(minutes=2)).replace(second=0, microsecond=0)
    night = {"SMS_QUIET_HOURS": f"{datetime.now(UTC):%H:%M}-{morning:%H:%M}", "DEFAULT_TIME_ZONE": "UTC"}
    events = [fresh("booking.cancelled", phone=number) for number in NUMBERS]
    wanted = {each["event_id"]: "sent" for each in events}
    with service(place, twilio, **night) as running:
        place.publish(*map(event, events))
        until(lambda: len(outcomes(place)) == len(events), timeout=PATIENCE)
        while datetime.now(UTC) < morning - timedelta(seconds=10):
            assert twilio.requests == 0
            time.sleep(10)
            running.kill()
            running.start()
            running.wait_ready()
        until(lambda: settled(place, wanted), timeout=2 * PATIENCE)
        end_well(running)
    assert sorted(each.to for each in twilio.messages) == NUMBERS
    assert all(record["sent_at"].replace(tzinfo=UTC) >= morning for record in records(place).values())
    assert place.depth(PARKED) == 0


def test_a_stop_ends_sms_to_its_number_and_a_start_brings_them_back(place: Place, twilio: Twilio) -> None:
    """From the signed webhook by the broker to the list, which is asked before Twilio is."""
    origin, path = "https://cb.cinema.example", "/cb/twilio/inbound"
    heard = {**twilio.environment, "CALLBACK_URL": origin, "TWILIO_AUTH_TOKEN": "a-token", "SUPPRESSION": "true"}
    first, second = fresh("booking.cancelled", phone=NUMBERS[0]), fresh("booking.cancelled", phone=NUMBERS[0])

    def answer(listener: Service, word: str) -> int:
        form = {"MessageSid": f"SM{word}", "Body": word, "From": NUMBERS[0], "To": "+15005550006"}
        signed = signature(b"a-token", f"{origin}{path}", list(form.items())).decode()
        url = f"http://127.0.0.1:{listener.environment()['CALLBACK_PORT']}{path}"
        return httpx.post(url, data=form, headers={"x-twilio-signature": signed}, timeout=10).status_code

    with service(place, twilio, **heard) as running, listening(place, **heard) as listener:
        assert until(lambda: answer(listener, "STOP"), timeout=PATIENCE) == 200
        until(lambda: bool(running.said("address.suppressed")), timeout=PATIENCE)
        place.publish(event(first))
        until(lambda: settled(place, {first["event_id"]: "skipped.unsubscribed"}), timeout=PATIENCE)
        assert twilio.requests == 0
        answer(listener, "START")
        until(lambda: bool(running.said("address.lifted")), timeout=PATIENCE)
        place.publish(event(second))
        until(lambda: outcomes(place).get(second["event_id"]) == "sent", timeout=PATIENCE)
        assert len(place.mails()) == 2
        end_well(running)
        assert NUMBERS[0] not in listener.log.read_text("utf-8")


def test_without_credentials_sms_are_simulated_loudly_and_live_refuses_to_start(place: Place, tmp_path: Path) -> None:
    data = fresh("booking.cancelled", phone=NUMBERS[0])
    with place.service(SMS_PROVIDER="twilio") as running:
        place.publish(event(data))
        until(lambda: outcomes(place).get(data["event_id"], "").startswith("simulated"), timeout=PATIENCE)
        end_well(running)
    (told,) = running.said("channel.simulated")
    assert (told["level"], told["channel"]) == ("warning", "sms")
    assert "TWILIO_ACCOUNT_SID" in told["reason"]
    (kept,) = place.outbox.glob("*.sms.txt")
    assert "Booking cancelled" in kept.read_text("utf-8") or "has been cancelled" in kept.read_text("utf-8")
    refused = place.command("doctor", SMS_PROVIDER="twilio", DELIVERY_MODE="live")
    assert "TWILIO_ACCOUNT_SID is not set" in refused.stdout + refused.stderr


def test_off_there_is_no_queue_and_no_record(place: Place) -> None:
    data = fresh("booking.cancelled", phone=NUMBERS[0])
    with place.service() as running:
        place.publish(event(data))
        until(lambda: len(place.mails()) == 1, timeout=PATIENCE)
        end_well(running)
    assert outcomes(place) == {}
    assert not any("sms" in name for name in Judge(place).queues())


def test_reconcile_counts_the_channel(place: Place, twilio: Twilio) -> None:
    data = fresh("booking.cancelled", phone=NUMBERS[0])
    with service(place, twilio) as running:
        place.publish(event(data))
        until(lambda: settled(place, {data["event_id"]: "sent"}), timeout=PATIENCE)
        until(lambda: len(place.mails()) == 1, timeout=PATIENCE)
        end_well(running)
    report = json.loads(place.command("reconcile", "--json", **twilio.environment).stdout)
    assert report["balanced"]
    assert report["outcomes"]["sent"] == 2


def test_a_person_is_found_and_erased_by_the_number_alone(place: Place) -> None:
    masked = {"RECORD_RECIPIENT": "masked", "ADDRESS_KEYS": "a key of the tests of some length"}
    simulated = {"DELIVERY_MODE": "simulate", "SMS_PROVIDER": "twilio", "SMS_DEFAULT_COUNTRY": "DE"}
    theirs, other = fresh("booking.cancelled", phone="0151 23456720"), fresh("booking.cancelled", phone=NUMBERS[1])
    wanted = {theirs["event_id"]: "simulated", other["event_id"]: "simulated"}
    with place.service(**masked, **simulated):
        place.publish(event(theirs), event(other))
        until(lambda: settled(place, wanted), timeout=PATIENCE)
    number = "+49 (0)151 2345-6720"
    shown = json.loads(cli(place, "find", number, "--channel", "sms", "--json", **masked).stdout)
    assert [each["recipient"] for each in shown["records"]] == ["+49***20"]
    files = [each.name for each in place.outbox.glob("*.sms.txt")]
    erased = json.loads(cli(place, "erase", "--address", number, "--yes", "--json", **masked).stdout)
    assert (erased["address"], erased["changed"], erased["unsearched"], len(files)) == ("+49***20", 1, [], 2)
    assert len(list(place.outbox.glob("*.sms.txt"))) == 1
    assert [each["recipient"] for each in records(place).values()].count("") == 1
    assert cli(place, "erase", "--address", number, "--verify", **masked).returncode == 0
    national = cli(place, "erase", "--address", "0151 23456720", "--yes", **masked)
    assert "a phone number with its country prefix (+49…)" in national.stderr


def test_metrics_say_what_sms_cost(place: Place, twilio: Twilio) -> None:
    cancelled = fresh("booking.cancelled", phone=NUMBERS[2])
    with service(place, twilio, SMS_PRICES='{"DE": "0.1"}', SMS_MAX_PER_DAY="500") as running:
        place.publish(event(cancelled))
        until(lambda: settled(place, {cancelled["event_id"]: "sent"}), timeout=PATIENCE)
        with urlopen(f"http://127.0.0.1:{running.port}/metrics", timeout=10) as answer:
            page = answer.read().decode()
    segments = sample_of(page, 'notification_sms_segments_total{country="DE"}')
    assert segments in (1, 2)
    assert sample_of(page, 'notification_sms_cost_total{country="DE"}') == pytest.approx(segments / 10)
    assert sample_of(page, "notification_sms_day_cost_limit") == 100


def sample_of(page: str, series: str) -> float:
    [value] = [line.rpartition(" ")[2] for line in page.splitlines() if line.startswith(f"{series} ")]
    return float(value)
