"""Twilio's transport against a double: each reply has its verdict, and the list finds what is in doubt."""

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime

import pytest

from notification_service.channels.http_client import HttpClient, Response
from notification_service.channels.sms.message import OutgoingSms
from notification_service.channels.sms.prices import Prices
from notification_service.channels.sms.twilio.transport import Account, TwilioTransport
from notification_service.delivery.ports.channel import (
    Accepted,
    CannotTell,
    Deferred,
    Found,
    HandoverRefused,
    InDoubt,
    LookUpFailed,
    NotFound,
    OptedOut,
    Refused,
    Tried,
    Unavailable,
    Unsendable,
)
from notification_service.delivery.ports.claims import Fence
from notification_service.foundation.errors import ChannelUnavailableError
from tests.stack import twilio as doubles
from tests.stack.twilio import Reply, Twilio, refusal

NUMBER = "+4915112345678"
TIMEOUT_S = 0.5


@pytest.fixture
def double() -> Iterator[Twilio]:
    with Twilio() as running:
        yield running


Make = Callable[..., TwilioTransport]


@pytest.fixture
async def make(double: Twilio) -> AsyncIterator[Make]:
    made: list[TwilioTransport] = []

    def build(
        *, secret: str = doubles.SECRET, prices: Prices | None = None, api: str = "", **changes: str
    ) -> TwilioTransport:
        client = HttpClient(tls=ssl.create_default_context(), timeout=TIMEOUT_S, max_connections=2)
        account = Account(
            **{"sid": doubles.SID, "user": doubles.KEY, "sender": doubles.SENDER, **changes},
            password=secret,
            api=api or double.url,
        )
        made.append(TwilioTransport(client, account, prices or Prices()))
        return made[-1]

    yield build
    for each in made:
        await each.close()


def sms(number: str = NUMBER, text: str = "Booking cancelled", **changes: object) -> OutgoingSms:
    values = {"notification_id": "n1", "template": "booking_cancellation", "segments": 1, **changes}
    return OutgoingSms(recipient=number, content=text.encode(), **values)  # type: ignore[arg-type]


async def held() -> Fence:
    return Fence.HELD


async def lost() -> Fence:
    return Fence.LOST


async def send(transport: TwilioTransport, message: OutgoingSms, fence: Callable[[], Awaitable[Fence]] = held) -> Tried:
    return await transport.send_once(message, fence)


async def test_a_message_that_is_taken_is_accepted_with_its_sid(double: Twilio, make: Make) -> None:
    transport = make(callbacks="https://cb.cinema.example/cb/twilio")
    found = await send(transport, sms(valid_until=datetime.now(UTC) + timedelta(hours=2)))
    assert isinstance(found, Accepted)
    (kept,) = double.messages
    assert (found.attempt.code, found.attempt.reply) == (201, f"{kept.sid} queued")
    assert (kept.to, kept.body) == (NUMBER, "Booking cancelled")
    assert kept.form["StatusCallback"] == "https://cb.cinema.example/cb/twilio/n1"
    assert 7100 < int(kept.form["ValidityPeriod"]) <= 7200


async def test_a_messaging_service_sends_for_the_account_and_a_validity_has_its_limits(
    double: Twilio, make: Make
) -> None:
    transport = make(sender="MG" + "3" * 32)
    await send(transport, sms(valid_until=datetime.now(UTC) + timedelta(days=9)))
    await send(transport, sms(valid_until=datetime.now(UTC) - timedelta(hours=1)))
    assert [each.form["ValidityPeriod"] for each in double.messages] == ["36000", "60"]
    assert {each.form["MessagingServiceSid"] for each in double.messages} == {"MG" + "3" * 32}


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (refusal(401, 20003), Unavailable),
        (refusal(403, 20003), Unavailable),
        (refusal(403, None), Unavailable),
        (refusal(404, 20404), Unavailable),
        (refusal(404, None, raw=b"<html>not found</html>"), Unavailable),
        (refusal(302, None), Unavailable),
        (refusal(307, None, raw=b""), Unavailable),
        (refusal(401, None, raw=b""), Unavailable),
        (refusal(429, 20429), Deferred),
        (refusal(400, 21211), Refused),
        (refusal(400, 21614), Refused),
        (refusal(400, 21635), Refused),
        (refusal(400, 21217), Unsendable),
        (refusal(400, 21613), Unsendable),
        (refusal(400, 21615), Unsendable),
        (refusal(400, 21610), OptedOut),
        (refusal(400, 21611), Deferred),
        (refusal(400, 21612), Unsendable),
        (refusal(400, 20005), Unavailable),
        (refusal(403, 21610), OptedOut),
        (refusal(400, 21408), Unsendable),
        (refusal(400, 21606), Unsendable),
        (refusal(400, 21212), Unsendable),
        (refusal(400, 99999), Unsendable),
        (refusal(400, None), Unsendable),
        (refusal(400, None, raw=b"<html>bad request</html>"), Unsendable),
        (refusal(400, None, raw=b'{"code": 21211, "mess'), Unsendable),
        (refusal(400, None, raw=b'{"code": "21211"}'), Unsendable),
        (refusal(400, None, raw=b'{"code": true}'), Unsendable),
        (refusal(400, None, raw='{"code": 21211}'.encode("utf-16")), Refused),
        (refusal(400, None, raw=b'{"code": 21211, "message": "' + b"x" * 200_000 + b'"}'), Refused),
        (refusal(405, None), Unsendable),
        (refusal(413, None, raw=b""), Unsendable),
        (refusal(429, None, raw=b"<html>slow down</html>"), Deferred),
        (refusal(408, None), InDoubt),
        (refusal(500, 20500), InDoubt),
        (refusal(502, None, raw=b"<html>bad gateway</html>"), InDoubt),
        (refusal(503, 21211), InDoubt),
        (refusal(504, None, raw=b""), InDoubt),
        (Reply(says="failed"), Refused),
        (Reply(says="undelivered"), Accepted),
        (Reply(raw=b""), Accepted),
        (Reply(raw=b'{"sid": "SM1", "sta'), Accepted),
        (Reply(raw=b"<html>welcome</html>"), Accepted),
        (doubles.TAKEN_AND_LOST, InDoubt),
        (doubles.NOT_TAKEN_AND_LOST, InDoubt),
        (Reply(seconds=1), InDoubt),
    ],
)
async def test_each_reply_has_its_verdict(double: Twilio, make: Make, reply: Reply, kind: type[Tried]) -> None:
    double.script(reply)
    found = await send(make(), sms())
    assert isinstance(found, kind), found
    assert NUMBER not in repr(found)
    assert double.requests == 1


async def test_an_unknown_code_is_kept_word_for_word_and_the_number_masked(double: Twilio, make: Make) -> None:
    double.script(refusal(400, 99999))
    found = await send(make(), sms())
    assert isinstance(found, Unsendable)
    assert found.attempt.reply == "99999 The 'To' number +49***78 is not accepted"
    assert found.fingerprint == "twilio 99999"


async def test_what_is_about_one_number_or_one_country_is_not_counted_against_the_service(
    double: Twilio, make: Make
) -> None:
    double.script(refusal(400, 21211), *(refusal(400, code) for code in (21408, 21606, 21612, 21659)))
    number = await send(make(), sms())
    assert isinstance(number, Refused)
    assert number.names_address
    for hint in ("Geo permissions", *["TWILIO_SENDER"] * 3):
        country = await send(make(), sms())
        assert isinstance(country, Unsendable)
        assert country.fingerprint == ""
        assert hint in country.hint


async def test_the_wait_that_is_asked_for_is_kept(double: Twilio, make: Make) -> None:
    asked = (7, "soon", "Sun, 06 Nov 1994 08:49:37 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", None)
    double.script(*(refusal(429, 20429, retry_after=each) for each in asked))
    waits = [await send(make(), sms()) for _ in asked]
    assert [each.wait for each in waits if isinstance(each, Deferred)] == [7, 60, 60, 259_200, 60]


async def test_a_lost_claim_sends_nothing_and_a_closed_port_is_unavailable(double: Twilio, make: Make) -> None:
    assert await send(make(), sms(), lost) == HandoverRefused()
    assert double.requests == 0
    nobody = make(api="http://127.0.0.1:1")
    assert isinstance(await send(nobody, sms(), lost), Unavailable)


async def test_a_wrong_secret_is_unavailable_and_in_no_repr(double: Twilio, make: Make) -> None:
    transport = make(secret="wrong-secret-0001")
    found = await send(transport, sms())
    assert isinstance(found, Unavailable)
    assert "wrong-secret" not in repr(found) + repr(transport._account)
    assert "TWILIO_API_SECRET" in found.hint


@pytest.mark.parametrize(
    ("prices", "why"),
    [
        (Prices({}, Decimal("0.1")), "no price for DE"),
        (Prices({"DE": Decimal("0.08")}, Decimal("0.1")), "above SMS_MAX_PRICE"),
        (Prices({"DE": Decimal("0.05")}, Decimal("0.1")), None),
        (Prices({"DE": Decimal(9)}), None),
    ],
)
async def test_a_message_above_its_price_limit_is_never_sent(
    double: Twilio, make: Make, prices: Prices, why: str | None
) -> None:
    found = await send(make(prices=prices), sms(segments=2))
    assert isinstance(found, Unsendable if why else Accepted)
    assert double.requests == (0 if why else 1)
    if isinstance(found, Unsendable):
        assert why is not None
        assert why in found.hint


# ── the list ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_message_that_was_taken_is_found_and_another_is_not(double: Twilio, make: Make) -> None:
    double.script(doubles.TAKEN_AND_LOST, doubles.NOT_TAKEN_AND_LOST)
    transport, since = make(), datetime.now(UTC)
    taken, not_taken = sms(text="It\u2019s off \u2013 sorry"), sms(text="Another")
    for each in (taken, not_taken):
        assert isinstance(await send(transport, each), InDoubt)
    double.messages[0].body = "Sent from your Twilio trial account - It's off - sorry"
    found = await transport.look_up(taken, since)
    assert isinstance(found, Found)
    assert double.messages[0].sid in (found.attempt.reply or "")
    assert await transport.look_up(not_taken, since) == NotFound()


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("½ price \u2013 \u2039Łódź\u203a", "1/2 price - 'Łódź'"),
        ("It\u02bbs 3 ÷ 2 я", "It's 3 / 2 я"),
        ("a\u200db\ufeff я²", "ab я2"),
        ("Ame\u0301lie", "Amélie"),
        ("• \uff21 я", "* A я"),
        ("दो टिकट \u2013 रद्द", "दो टिकट - रद्द"),
    ],
)
async def test_a_message_is_found_whatever_smart_encoding_made_of_its_text(
    double: Twilio, make: Make, sent: str, kept: str
) -> None:
    transport, since = make(), datetime.now(UTC)
    await send(transport, sms(text="Another: " + sent))
    double.messages[0].body = kept
    assert isinstance(await transport.look_up(sms(text=sent), since), Found)
    double.messages[0].body = "Another: " + kept
    assert await transport.look_up(sms(text=sent), since) == NotFound()


class Lists:
    """A client that gives one answer."""

    def __init__(self, answer: Response) -> None:
        self.answer = answer

    async def request(self, *_: object, **__: object) -> Response:
        return self.answer


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(hours=1), timedelta(hours=-1)])
async def test_a_message_is_found_though_our_clock_is_wrong(ahead: timedelta) -> None:
    ours = datetime.now(UTC)
    twilios = ours - ahead
    kept = {"sid": "SM1", "body": "Booking cancelled", "status": "sent", "date_created": format_datetime(twilios)}
    answer = Response(200, {"date": format_datetime(twilios)}, json.dumps({"messages": [kept]}).encode())
    transport = TwilioTransport(Lists(answer), Account("AC1", "SK1", password="s", sender="+1"), Prices())  # type: ignore[arg-type]
    found = await transport.look_up(sms(), ours)
    assert isinstance(found, Found)
    assert found.attempt.provider_message_id == "SM1"


async def test_a_text_without_letters_is_not_taken_for_a_redacted_one(double: Twilio, make: Make) -> None:
    transport, since = make(), datetime.now(UTC)
    await send(transport, sms(text="!!!"))
    double.redacted = True
    assert await transport.look_up(sms(text="!!!"), since) == CannotTell()


async def test_it_is_found_among_twenty_of_the_longest_texts(double: Twilio, make: Make) -> None:
    """Other systems send by the same account: a page of their texts has hundreds of kB."""
    transport, since = make(), datetime.now(UTC)
    await send(transport, sms())
    for _ in range(19):
        await send(transport, sms(text="न" * 1600))
    assert isinstance(await transport.look_up(sms(), since), Found)


async def test_an_older_message_with_the_same_text_is_not_it(double: Twilio, make: Make) -> None:
    transport = make()
    await send(transport, sms())
    double.messages[0].at -= timedelta(minutes=5)
    assert await transport.look_up(sms(), datetime.now(UTC)) == NotFound()
    assert await transport.look_up(sms("+4915112345679"), datetime.now(UTC) - timedelta(hours=1)) == NotFound()


async def test_it_is_found_on_a_later_page_too(double: Twilio, make: Make) -> None:
    transport, since = make(), datetime.now(UTC)
    for place in range(45):
        await send(transport, sms(text=f"text {place}"))
    assert isinstance(await transport.look_up(sms(text="text 0"), since), Found)
    assert double.listed == 3


async def test_a_redacted_message_hides_none_on_a_later_page(double: Twilio, make: Make) -> None:
    transport, since = make(), datetime.now(UTC)
    for place in range(25):
        await send(transport, sms(text=f"text {place}"))
    double.messages[-1].body = ""
    assert isinstance(await transport.look_up(sms(text="text 0"), since), Found)
    assert await transport.look_up(sms(text="text 24"), since) == CannotTell()


async def test_a_list_that_is_down_says_that_it_cannot_be_asked_and_a_redacted_one_cannot_tell(
    double: Twilio, make: Make
) -> None:
    transport, since = make(), datetime.now(UTC)
    await send(transport, sms())
    double.list_fault = doubles.LIST_DOWN
    assert isinstance(await transport.look_up(sms(), since), LookUpFailed)
    double.list_fault, double.redacted = None, True
    assert await transport.look_up(sms(), since) == CannotTell()
    assert isinstance(await make(api="http://127.0.0.1:1").look_up(sms(), since), LookUpFailed)


async def test_doctor_is_not_content_with_a_page_that_something_else_answers(double: Twilio, make: Make) -> None:
    assert "Twilio knows the login" in await make().check()
    double.list_fault = Reply(200, raw=b"<html>welcome</html>")
    with pytest.raises(ChannelUnavailableError, match="something else"):
        await make().check()


async def test_doctor_s_hint_is_about_what_is_wrong(double: Twilio, make: Make) -> None:
    with pytest.raises(ChannelUnavailableError, match="TWILIO_API_SECRET"):
        await make(secret="wrong-secret-0001").check()
    with pytest.raises(ChannelUnavailableError, match="reachable"):
        await make(api="http://127.0.0.1:1").check()
    double.list_fault = doubles.LIST_DOWN
    with pytest.raises(ChannelUnavailableError, match=r"status\.twilio\.com"):
        await make().check()
