"""STOP, by the webhook or by Twilio's refusal, ends SMS to that number until START; the mails go on."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.outcomes import Sent, Skipped, SkipReason
from notification_service.contract.suppressions import OURSELVES, Cause, Entry, Evidence, Kind, standing, stopping
from notification_service.delivery.ports.channel import OptedOut
from notification_service.delivery.ports.signals import StoredSignal
from notification_service.delivery.settlements import Done
from notification_service.delivery.suppression_check import SuppressionCheck
from notification_service.feedback.providers.twilio import Twilio, signature
from notification_service.feedback.providers.webhooks import Webhook
from notification_service.feedback.suppression import SuppressionHandler
from notification_service.stores.memory.suppressions import MemorySuppressions
from tests.unit.fakes import Step, attempt
from tests.unit.phones import NUMBER, Phones

SMS = ChannelKind.SMS
ORIGIN, TOKEN, PATH = "https://cb.cinema.example", "12345", "/cb/twilio/inbound"
OPTED_OUT = OptedOut(attempt("refused", 400, "21610 Attempt to send to unsubscribed recipient"))
STOPPED = Done(Skipped(SkipReason.UNSUBSCRIBED))


class Stopped(Phones):
    def __init__(self, *steps: Step) -> None:
        self.held = MemorySuppressions()
        self.handler = SuppressionHandler(self.held, lambda _: None)
        super().__init__(SMS, steps, suppression=SuppressionCheck(self.held, SMS))

    async def notify(self, number: int) -> Done:
        settled = await self.handle(phone=NUMBER, event_id=f"evt-{number}", booking_id=f"B-{number}")
        assert isinstance(settled, Done)
        return settled

    async def answer(self, text: str) -> None:
        """The reader answers, and Twilio tells us."""
        form = {"MessageSid": f"SM-{text}", "Body": text, "From": NUMBER, "To": "+15005550006"}
        headers = {"x-twilio-signature": signature(TOKEN.encode(), f"{ORIGIN}{PATH}", list(form.items())).decode()}
        heard = await Twilio(ORIGIN, [TOKEN]).read(Webhook(headers, urlencode(form).encode(), datetime.now(UTC), PATH))
        for signal in heard.signals:
            await self.handler(StoredSignal(signal, None, None))


def reason(settled: Done) -> SkipReason | None:
    return settled.outcome.reason if isinstance(settled.outcome, Skipped) else None


async def test_a_stop_by_the_webhook_ends_sms_and_a_start_brings_them_back() -> None:
    phones = Stopped()
    await phones.answer("STOP")
    assert reason(await phones.notify(1)) is SkipReason.UNSUBSCRIBED
    assert phones.channel.seen == [], "nobody is asked"
    await phones.answer("START")
    assert await phones.notify(2) == Done(Sent())


async def test_twilio_s_refusal_is_remembered_and_lifted_by_a_start() -> None:
    phones = Stopped(OPTED_OUT)
    assert await phones.notify(1) == STOPPED
    assert reason(settled := await phones.notify(2)) is SkipReason.UNSUBSCRIBED
    assert isinstance(settled.outcome, Skipped)
    assert "sending said STOP" in settled.outcome.detail
    assert len(phones.channel.seen) == 1
    await phones.answer("start")
    assert await phones.notify(3) == Done(Sent())


@pytest.mark.parametrize(
    ("source", "code", "stands"), [(OURSELVES, "STOP", False), ("twilio", "21610", False), ("twilio", None, True)]
)
def test_after_the_time_twilio_is_asked_again_and_the_reader_s_own_stop_stands(
    *, source: str, code: str | None, stands: bool
) -> None:
    now = datetime.now(UTC)
    said = Evidence(source=source, source_id="1", at=now - timedelta(days=31), code=code)
    entry = Entry(SMS, "d", Cause.UNSUBSCRIBED, (said,))
    assert (standing(entry, now, timedelta(days=30)) is not None) is stands
    assert standing(entry, now, timedelta(days=32)) is not None
    assert (stopping([entry], Kind(optional=True), now, timedelta(days=30)) is not None) is stands
