"""Whatever stands in a field, a well-identified event becomes its mail, and no setting passes for what was said."""

import functools
from typing import Any

import pytest
from hypothesis import example, given, settings, strategies as st

from notification_service.channels.email.mail import Mail
from notification_service.channels.email.rendering import Renderer
from notification_service.channels.email.template_loading import load
from notification_service.content import currencies
from notification_service.content.branding import Brand
from notification_service.content.localization import Defaults
from notification_service.content.profile import SenderProfile
from notification_service.contract import time_zones
from notification_service.contract.events import EVENT_TYPES, MODELS
from notification_service.contract.showtimes import parse_showtime
from notification_service.delivery.planning import Notification, plan
from notification_service.delivery.ports.directory import Recipient
from tests.fuzzing import examples
from tests.samples import sample
from tests.unit.fakes import LARGEST, TEMPLATES, inbound

IDENTITY = {"event_type", "booking_id", "transaction_id", "original_transaction_id", "refund_transaction_id"}
LOCALES = ("en-US", "de", "ar")

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**9, 10**13)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30)
    | st.from_regex(r"[A-Z$€₹¥]{0,3} ?-?[0-9]{1,4}([.,][0-9]{1,3}){0,2} ?([A-Z]{3}|[$€£]|Bitcoin)?", fullmatch=True)
    | st.from_regex(r"20[0-9]{2}-[0-1][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-5][0-9](-[0-2][0-9]:[0-5]0|Z)?", fullmatch=True)
    | st.sampled_from(
        ["9" * 400, "&amp;&#8217;&#x110000;", "\ud800", "\x00", "<b>", "{{ 7 }}", "%(amount)s", "% s", "["]
    )
)
KEYS = st.text(max_size=5) | st.sampled_from(
    ["$date", "$oid", "$numberLong", "amount", "currency", "row", "number", "0"]
)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner), max_leaves=6)


@functools.cache
def renderer(currency: str = "THB", zone: str = "Asia/Kathmandu") -> Renderer:
    return load(TEMPLATES, SenderProfile(Brand("Cinema"), Defaults("en_US", zone, currency)))


def told(event_type: str, **said: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON holds
    known = sample("payment.refunded" if event_type == "payment.refund" else event_type)
    return {**known, "event_type": event_type, "event_id": "evt-1", **said}


def mailed(event_type: str, **said: Any) -> tuple[Notification, Mail]:  # noqa: ANN401 - whatever JSON holds
    notification = plan(inbound(told(event_type, **said), event_type), max_bytes=LARGEST)
    assert isinstance(notification, Notification)
    return notification, renderer().render(
        notification.template, notification.event, Recipient("jane@guests.example", "Jane")
    )


def words(mail: Mail) -> str:
    return "\n".join([mail.subject, mail.text, mail.html, *(str(file.content) for file in mail.attachments)])


FIELDS = [(kind, field) for kind in EVENT_TYPES for field in MODELS[kind].model_fields if field not in IDENTITY]


@pytest.mark.parametrize(("event_type", "field"), FIELDS)
@given(value=JSON, locale=st.sampled_from(LOCALES))
@settings(max_examples=examples(8))
def test_no_field_of_any_kind_costs_an_event_its_mail(event_type: str, field: str, value: object, locale: str) -> None:
    notification, mail = mailed(event_type, **{"locale": locale, field: value})
    assert mail.subject
    assert {remark.field for remark in notification.remarks} <= {field}


@given(st.sampled_from(EVENT_TYPES), st.data())
@settings(max_examples=examples(60))
def test_nor_do_all_of_them_together(event_type: str, data: st.DataObject) -> None:
    fields = [field for kind, field in FIELDS if kind == event_type]
    notification, mail = mailed(event_type, **{field: data.draw(JSON, label=field) for field in fields})
    assert mail.subject
    assert {remark.field for remark in (*notification.remarks, *mail.remarks)} <= {*fields, "locale"}


@given(said=JSON, amount=st.sampled_from([500, 25.5, "30.00", "25,50"]), locale=st.sampled_from(LOCALES))
@example(said="₹", amount=500, locale="en-US")
@example(said="Bitcoin", amount=500, locale="en-US")
@example(said=[], amount=500, locale="de")
@settings(max_examples=examples(200))
def test_where_a_currency_was_said_the_settings_is_named_by_nobody(said: object, amount: object, locale: str) -> None:
    notification, mail = mailed("payment.success", currency=said, amount=amount, locale=locale)
    word = notification.event.currency
    if word is None or currencies.resolve(word, "THB") == "THB":
        return
    shown = words(mail)
    assert not any(name in shown for name in ("THB", "฿", "baht", "Baht", "بات"))
    if not currencies.resolve(word, "THB"):
        assert "currency" in {remark.field for remark in (*notification.remarks, *mail.remarks)}


@given(said=JSON, locale=st.sampled_from(LOCALES))
@example(said="Pacific Standard Time", locale="en-US")
@example(said="Mars/Base", locale="en-US")
@example(said=-8, locale="en-US")
@example(said="\x1b", locale="en-US")
@settings(max_examples=examples(200))
def test_where_a_zone_was_said_the_settings_is_told_by_nobody(said: object, locale: str) -> None:
    notification, mail = mailed("booking.confirmed", time_zone=said, locale=locale, showtime="2999-12-15 19:30")
    word = notification.event.time_zone
    if word is None:
        return
    found = time_zones.find(word)
    assert renderer().zone(notification.event) == found
    assert "booking.ics" in {file.filename for file in mail.attachments} or found is None
    if found is None:
        shown = words(mail)
        assert "BEGIN:VCALENDAR" not in shown
        assert "startDate" not in shown
        assert not any(name in shown for name in ("Nepal", "+0545", "+05:45", "5:45"))
        assert "time_zone" in {remark.field for remark in (*notification.remarks, *mail.remarks)}


@given(showtime=JSON)
@example(showtime="2026-12-15 19:30-22:00")
@example(showtime="05/06/2026 19:30")
@settings(max_examples=examples(200))
def test_a_showtime_that_names_no_moment_is_in_no_calendar(showtime: object) -> None:
    notification, mail = mailed("booking.confirmed", showtime=showtime)
    text = getattr(notification.event, "showtime", None)
    when = parse_showtime(text, renderer().zone(notification.event)) if text else None
    assert ("booking.ics" in {file.filename for file in mail.attachments}) == bool(when and when.tzinfo)


def test_what_entities_stand_for_never_becomes_markup() -> None:
    _, mail = mailed(
        "booking.confirmed", movie_title="&lt;img src=x&gt;", total_amount="&lt;b&gt;30&lt;/b&gt;", currency="&lt;i&gt;"
    )
    assert "<img src=x>" in mail.text
    assert "<img src=x" not in mail.html
    assert "<b>30" not in mail.html
