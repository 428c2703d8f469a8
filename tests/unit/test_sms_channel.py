"""What SMS adds to the house: texts, settings, the events that a channel hears, and the look-up before the policy."""

import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from notification_service import bootstrap
from notification_service.bootstrap import further_channels
from notification_service.channels.admission import State
from notification_service.channels.breaker import Breaker
from notification_service.channels.sms import template_loading
from notification_service.channels.sms.composer import SmsComposer
from notification_service.channels.sms.message import OutgoingSms
from notification_service.channels.sms.prices import Prices
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.events import Event, parse
from notification_service.contract.outcomes import Unknown
from notification_service.delivery.decisions import (
    AlreadyEnded,
    AskProvider,
    DeliveryRequest,
    Proceed,
    WaitOutLease,
    next_step,
)
from notification_service.delivery.ports.channel import (
    BeforeHandover,
    OutgoingMessage,
    PutOff,
    Tried,
    Unsendable,
)
from notification_service.delivery.ports.claims import Claimed, Fence, InterruptedSend
from notification_service.delivery.ports.composer import MessageIds
from notification_service.delivery.ports.directory import Recipient
from notification_service.delivery.ports.ledger import AlreadyThere, Entry, Opened
from notification_service.foundation.errors import ConfigurationError
from notification_service.settings import Settings, load, plain
from tests.unit.fakes import TEMPLATES, attempt

IDS = MessageIds("n1", "e1", "booking_cancellation", "B-1", datetime(2026, 11, 29, tzinfo=UTC))
PERSON = Recipient(phone="+4915112345678")


@pytest.fixture(scope="module")
def composer() -> SmsComposer:
    settings = load(None)
    return template_loading.load(TEMPLATES, bootstrap.profile(settings), default_country=None)


def cancelled(**changes: object) -> Event:
    event = parse({"booking_id": "B-1", "refund_eligible": False, **changes}, "booking.cancelled")
    assert event is not None
    return event


# ── texts ────────────────────────────────────────────────────────────────────────────────────────────


def test_every_sample_fits_into_two_segments_in_every_language(composer: SmsComposer) -> None:
    assert list(template_loading.faults(composer, TEMPLATES)) == []


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/Los_Angeles"])
def test_every_sample_fits_with_a_long_brand_in_any_zone(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    """A text that is too long stops the start, so no setting may make one of ours so."""
    settings = _settings(monkeypatch, DEFAULT_TIME_ZONE=zone, BRAND_NAME="Kinoptikon Mitternacht")
    composer = template_loading.unchecked(TEMPLATES, bootstrap.profile(settings), default_country=None)
    assert list(template_loading.faults(composer, TEMPLATES)) == []


def test_a_text_says_what_happened_to_what_and_what_follows(composer: SmsComposer) -> None:
    event = cancelled(movie_title="Inception", showtime="2026-12-15T20:00+01:00", time_zone="Europe/Berlin")
    message = composer.compose(event, PERSON, IDS)
    lines = message.text.splitlines()
    assert lines[0] == "Movie Tickets"
    assert lines[1].startswith("Booking cancelled: Inception - Tue, Dec 15")
    assert lines[2:] == ["The tickets are no longer valid.", "No refund is due."]
    assert (message.recipient, message.segments) == (PERSON.phone, 1)
    assert message.valid_until == datetime(2026, 12, 15, 19, tzinfo=UTC)


def test_a_long_title_is_cut_as_far_as_the_segments_need_it(composer: SmsComposer) -> None:
    message = composer.compose(cancelled(movie_title="Ж" * 300, showtime="2026-12-15 20:00"), PERSON, IDS)
    assert message.segments <= 2
    assert message.remarks == ()
    assert "…" in message.text


@pytest.mark.parametrize(
    "odd", ["\x00", "a\x00b", "\x1b[31mred", "\x7f", "\u202eevil", "\u2066x", "a\x07" * 300, "30 \x9f", "\u202e\u202d"]
)
def test_no_field_brings_a_control_character_or_a_direction_of_its_own(composer: SmsComposer, odd: str) -> None:
    for name in ("movie_title", "booking_id", "showtime", "currency", "refund_amount", "cancellation_reason"):
        text, written, _ = composer.fitted(cancelled(**{name: odd}), Recipient(), "booking_cancellation")
        seen = text.replace("\n", "")
        assert not [each for each in seen if unicodedata.category(each) == "Cc" or "\u202a" <= each <= "\u202e"]
        assert all(line.strip() and not line.endswith(": ") for line in written.lines)


def test_a_showtime_that_names_no_time_costs_no_further_segment(composer: SmsComposer) -> None:
    event = cancelled(movie_title="M" * 400, showtime="some day " * 60)
    for language in ("en", "de", "hi"):
        text, _, segments = composer.fitted(event, Recipient(locale=language), "booking_cancellation")
        assert segments.count <= 2
        assert "some day" in text


def test_a_showtime_without_a_certain_moment_limits_nothing(composer: SmsComposer) -> None:
    for showtime in ("2026-12-15 20:00", "tonight", None):
        assert composer.compose(cancelled(showtime=showtime), PERSON, IDS).valid_until is None


def test_a_text_of_more_segments_stops_the_start_with_file_and_line(tmp_path: Path) -> None:
    copy = _copied(tmp_path)
    sms = copy / "booking_cancellation" / "sms.txt"
    sms.write_text(sms.read_text("utf-8") + "word " * 80, "utf-8")
    with pytest.raises(ConfigurationError, match=r"booking_cancellation/sms\.txt:1: .* in .*: \d segments"):
        template_loading.load(copy, bootstrap.profile(load(None)), default_country=None)


def test_a_text_that_cannot_be_rendered_stops_the_start_with_file_and_line(tmp_path: Path) -> None:
    copy = _copied(tmp_path)
    (copy / "payment_failed" / "sms.txt").write_text("one\n{{ nothing.here }}\n", "utf-8")
    with pytest.raises(ConfigurationError, match=r"payment_failed/sms\.txt:2: .*'nothing' is undefined"):
        template_loading.load(copy, bootstrap.profile(load(None)), default_country=None)


def test_a_chosen_event_without_a_text_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _settings(monkeypatch, SMS_PROVIDER="twilio", SMS_EVENTS="payment.success")
    with pytest.raises(ConfigurationError, match=r"SMS_EVENTS names payment\.success, and .*sms\.txt is missing"):
        further_channels.configured(settings)


def _copied(folder: Path) -> Path:
    copy = folder / "templates"
    for path in TEMPLATES.rglob("*"):
        if path.is_file():
            to = copy / path.relative_to(TEMPLATES)
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(path.read_bytes())
    return copy


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────

TWILIO = {"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_API_KEY": "SK1", "TWILIO_API_SECRET": "s", "TWILIO_SENDER": "+1500"}
SNS = {"SNS_REGION": "eu-central-1", "SNS_ACCESS_KEY_ID": "AK", "SNS_SECRET_ACCESS_KEY": "s"}
MAIL = {"SMTP_SERVER": "smtp.example", "FROM_EMAIL": "tickets@cinema.example"}


def _settings(monkeypatch: pytest.MonkeyPatch, **values: str) -> Settings:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return load(None)


@pytest.mark.parametrize(("provider", "complete"), [("twilio", TWILIO), ("sns", SNS)])
def test_live_names_each_setting_that_is_missing_and_where_to_get_it(
    monkeypatch: pytest.MonkeyPatch, provider: str, complete: Mapping[str, str]
) -> None:
    given = {**MAIL, "DELIVERY_MODE": "live", "SMS_PROVIDER": provider, **complete}
    assert _settings(monkeypatch, **given).sms_live
    for name in complete:
        monkeypatch.delenv(name)
        with pytest.raises(ConfigurationError, match=rf"DELIVERY_MODE=live, but .*{name}.*docs/providers\.md"):
            load(None)
        monkeypatch.setenv(name, complete[name])


async def test_doctor_says_when_it_is_quiet_and_who_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {"SMS_QUIET_HOURS": "22:00-07:30", "SMS_CONSENT_FIELD": "consent.sms", "SMS_CONSENT_REQUIRED": "false"}
    settings = _settings(
        monkeypatch, SMS_PROVIDER="twilio", PUSH_PROVIDERS="fcm", PUSH_QUIET_HOURS="23:00-6:00", **wanted
    )
    told = await further_channels.check_sms(settings)
    assert "quiet from 22:00 to 07:30" in told
    assert "not at all where an event names no time zone: DEFAULT_TIME_ZONE" in told
    assert "users.consent.sms says who agrees, and messages go to who has not said" in told
    assert "quiet from 23:00 to 06:00" in await further_channels.check_push(settings)
    with_zone = _settings(monkeypatch, DEFAULT_TIME_ZONE="Europe/Berlin", SMS_CONSENT_REQUIRED="true")
    told = await further_channels.check_sms(with_zone)
    assert "not at all" not in told
    assert "nothing goes to who has not said" in told


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SMS_QUIET_HOURS", "at night"),
        ("PUSH_QUIET_HOURS", "22:00"),
        ("SMS_CONSENT_FIELD", "$where"),
        ("SMS_RECIPIENT_PER_HOUR", "-1"),
        ("TWILIO_SENDER", "+1 (555) 010-0123"),
    ],
)
def test_a_setting_that_means_nothing_stops_the_start_with_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name}: "):
        _settings(monkeypatch, **{name: value})


def test_a_credential_that_was_copied_with_its_line_end_is_as_good(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _settings(
        monkeypatch,
        TWILIO_API_KEY=" SK1\n",
        TWILIO_API_SECRET="s\n",
        SNS_SECRET_ACCESS_KEY="s\r\n",
        SNS_ACCESS_KEY_ID="AKID\n",
        APNS_TOPIC="com.example.kino\n",
    )
    assert (settings.twilio.api_key, settings.sns.access_key_id) == ("SK1", "AKID")
    assert (plain(settings.twilio.api_secret), plain(settings.sns.secret_access_key)) == ("s", "s")
    assert settings.apns.topic == "com.example.kino"


@pytest.mark.parametrize(
    ("name", "value"), [("SMS_DEFAULT_COUNTRY", "UK"), ("SMS_PRICES", '{"GB": "0.05", "EU": "0.1"}')]
)
async def test_a_country_without_phone_numbers_stops_the_start_and_says_what_to_write(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    settings = _settings(monkeypatch, **{**MAIL, **TWILIO, "SMS_PROVIDER": "twilio", name: value})
    with pytest.raises(ConfigurationError, match=f"^{name} names (UK|EU), .* such as GB"):
        further_channels.configured(settings)


def test_off_nothing_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(None)
    assert further_channels.configured(settings) == ()
    assert further_channels.event_types(settings) == {}


@pytest.mark.parametrize(
    ("chosen", "heard"),
    [
        (("booking.cancelled",), ("booking.confirmed", "booking.cancelled")),
        (("booking.confirmed",), ("booking.confirmed", "booking.cancelled")),
        (
            ("payment.failed",),
            ("booking.confirmed", "booking.cancelled", "payment.success", "payment.failed"),
        ),
        (("payment.success",), ("payment.success",)),
    ],
)
def test_a_channel_hears_the_events_that_make_its_messages_obsolete(
    chosen: tuple[str, ...], heard: tuple[str, ...]
) -> None:
    assert further_channels.with_answers(chosen) == heard


def test_only_sns_holds_what_is_in_doubt_and_only_twilio_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    (twilio,) = further_channels.configured(_settings(monkeypatch, SMS_PROVIDER="twilio", **MAIL, **TWILIO))
    (sns,) = further_channels.configured(_settings(monkeypatch, SMS_PROVIDER="sns", **SNS))
    assert (twilio.max_resends, twilio.look_up is not None) == (1, True)
    assert (sns.max_resends, sns.look_up) == (0, None)
    assert {twilio.composer.channel, sns.composer.channel} == {ChannelKind.SMS}


@pytest.mark.parametrize(
    ("messages", "prices", "told"),
    [
        (0, {}, "nothing limits"),
        (1000, {}, "what they cost is not known"),
        (1000, {"DE": Decimal("0.08"), "US": Decimal("0.01")}, "cost up to 160.00"),
        (3, {"DE": Decimal("0.0004")}, "cost up to 0.01"),
        (10**40, {"DE": Decimal("0.08")}, "cost up to 1,600,"),
    ],
)
def test_what_a_day_costs_is_told(messages: int, prices: dict[str, Decimal], told: str) -> None:
    assert told in Prices(prices).of_a_day(messages, 2)


# ── in doubt ─────────────────────────────────────────────────────────────────────────────────────────

ASKED = DeliveryRequest("e1", max_resends=1, can_look_up=True)


def entry(**changes: object) -> AlreadyThere:
    values = {"notification_id": "n1", "outcome": None, "waiting": False, "resends": 0, **changes}
    return AlreadyThere(Entry(event_ids=("e1",), created_at=datetime(2026, 11, 29, tzinfo=UTC), **values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("claim", "found", "otherwise"),
    [
        (InterruptedSend(), entry(), Proceed),
        (InterruptedSend(again=True), entry(resends=1), AlreadyEnded),
        (InterruptedSend(), Opened(), Proceed),
        (Claimed(fresh=False, before="w1"), entry(owner="w1", sending=True), Proceed),
    ],
)
def test_a_provider_that_can_say_is_asked_before_the_policy(
    claim: InterruptedSend | Claimed, found: AlreadyThere | Opened, otherwise: type
) -> None:
    step = next_step(claim, found, ASKED)
    assert isinstance(step, AskProvider)
    assert isinstance(step.otherwise, otherwise)
    held = next_step(claim, found, DeliveryRequest("e1", max_resends=0, can_look_up=True))
    assert isinstance(held, AskProvider)
    assert isinstance(held.otherwise, AlreadyEnded)


def test_a_resend_that_redis_forgot_is_asked_for_after_a_lease_and_is_unknown_where_nobody_can_say() -> None:
    found = entry(owner="w1", resends=1)
    assert next_step(Claimed(fresh=True), found, ASKED) == WaitOutLease()
    blind = next_step(Claimed(fresh=True), found, DeliveryRequest("e1", max_resends=1))
    assert isinstance(blind, AlreadyEnded)
    assert isinstance(blind.outcome, Unknown)


# ── refusals of requests ─────────────────────────────────────────────────────────────────────────────


class Refusing:
    name = "refusing"

    def __init__(self, fingerprint: str) -> None:
        self._answer = Unsendable(attempt("refused", 400, "21212"), "check TWILIO_SENDER", fingerprint)

    async def send_once(self, message: OutgoingMessage, before_handover: BeforeHandover) -> Tried:
        assert message.recipient
        await before_handover()
        return self._answer

    async def close(self) -> None: ...


@pytest.mark.parametrize(("fingerprint", "state"), [("twilio 21212", State.OPEN), ("", State.CLOSED)])
async def test_the_same_refusal_of_three_numbers_in_a_row_is_about_the_service(fingerprint: str, state: State) -> None:
    async def held() -> Fence:
        return Fence.HELD

    async def nothing() -> None: ...

    breaker = Breaker(Refusing(fingerprint), 4, max_wait_s=0.05)
    verdicts = []
    for number in ("+4915112345671", "+4915112345672", "+4915112345673"):
        message = OutgoingSms(notification_id=number, template="t", recipient=number, content=b"x", segments=1)
        verdicts.append(await breaker.deliver(message, held, nothing))
    assert [isinstance(each, Unsendable) for each in verdicts[:2]] == [True, True]
    assert isinstance(verdicts[2], PutOff if fingerprint else Unsendable)
    assert breaker.state is state
    await breaker.close()
