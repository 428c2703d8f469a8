"""Where the directory says who wants messages by a channel, nobody else gets one; what nobody knows is no guess."""

from typing import Any

import pytest

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.devices import Device
from notification_service.contract.outcomes import Sent, Skipped, SkipReason
from notification_service.delivery.ports.directory import ConsentRule, Recipient
from notification_service.delivery.settlements import Done
from tests.unit.phones import NUMBER, Phones

SMS, PUSH = ChannelKind.SMS, ChannelKind.PUSH
STRICT, LENIENT = ConsentRule("SMS_CONSENT"), ConsentRule("SMS_CONSENT", required=False)
ANOTHER = "+4915187654321"


def person(*, wish: bool | None) -> dict[str, Recipient]:
    return {"user456": Recipient(phone=NUMBER, consents={} if wish is None else {SMS: wish})}


async def reason(phones: Phones, **changes: Any) -> SkipReason | None:  # noqa: ANN401 - whatever JSON holds
    settled = await phones.handle(**changes)
    assert isinstance(settled, Done)
    if isinstance(settled.outcome, Skipped):
        assert phones.sent == []
        assert NUMBER[3:] not in settled.outcome.detail
        return settled.outcome.reason
    assert settled == Done(Sent())
    return None


@pytest.mark.parametrize("wish", [True, False, None])
@pytest.mark.parametrize("rule", [STRICT, LENIENT, None])
@pytest.mark.parametrize("in_event", [{}, {"phone": NUMBER}, {"phone": NUMBER, "user_id": None, "booking_id": "B-1"}])
async def test_a_yes_goes_a_no_does_not_and_the_setting_decides_on_the_rest(
    *, wish: bool | None, rule: ConsentRule | None, in_event: dict[str, str | None]
) -> None:
    goes = rule is None or (not rule.required if wish is None else wish)
    found = await reason(Phones(people=person(wish=wish), consent=rule), **in_event)
    assert found is (None if goes else SkipReason.NO_CONSENT)


async def test_a_yes_is_about_the_user_s_own_number_and_a_no_about_the_person() -> None:
    for wish, rule, goes in ((True, STRICT, False), (True, LENIENT, True), (False, LENIENT, False)):
        found = await reason(Phones(people=person(wish=wish), consent=rule), phone=ANOTHER)
        assert (found is None) is goes


async def test_a_number_in_another_spelling_is_the_same() -> None:
    assert await reason(Phones(people=person(wish=True), consent=STRICT), phone="+49 (0)151 1234-5678") is None


async def test_a_number_of_nobody_has_no_consent() -> None:
    assert await reason(Phones(consent=STRICT), phone=NUMBER) is SkipReason.NO_CONSENT


async def test_the_record_says_which_setting_asked() -> None:
    phones = Phones(people=person(wish=False), consent=STRICT)
    await phones.handle()
    assert phones.record.reason == "no_consent"
    assert "refused messages by sms (SMS_CONSENT_FIELD)" in str(phones.record.entry.outcome)
    phones = Phones(people=person(wish=None), consent=STRICT)
    await phones.handle()
    assert "nobody knows" in str(phones.record.entry.outcome)
    assert "SMS_CONSENT_REQUIRED" in str(phones.record.entry.outcome)


async def test_devices_of_the_event_are_the_person_s() -> None:
    for wish in (True, False):
        people = {"user456": Recipient(device_tokens=(Device("cd" * 32),), consents={PUSH: wish})}
        phones = Phones(PUSH, people=people, consent=ConsentRule("PUSH_CONSENT"))
        found = await reason(phones, device_tokens=["ab" * 32])
        assert (found is None) is wish


async def test_a_consent_to_one_channel_is_none_to_another() -> None:
    people = {"user456": Recipient(phone=NUMBER, consents={PUSH: True})}
    assert await reason(Phones(people=people, consent=STRICT)) is SkipReason.NO_CONSENT
