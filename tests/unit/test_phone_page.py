"""The page of SMS and push shows every short text of every language, as it is sent, and nothing of it as markup."""

from dataclasses import replace
from typing import Any

import pytest

from notification_service.preview import phone_page, proofs
from notification_service.preview.phone_page import LockScreen, Note
from notification_service.settings import load

LANGUAGES = {"en", "es", "fr", "de", "hi", "ja", "ar"}


@pytest.fixture(scope="module")
def screens() -> list[LockScreen]:
    settings = load(None)
    found = [(sample, each) for sample, each in proofs.mailed(settings) if sample.name == sample.event_type]
    return phone_page.lock_screens(settings, found)


def test_each_sample_with_a_short_text_is_shown_in_each_language(screens: list[LockScreen]) -> None:
    shown: dict[str, Any] = {}
    for each in screens:
        shown.setdefault(each.sample, {})[each.language] = [note.kind for note in each.notes]
    assert shown["booking.cancelled"].keys() >= LANGUAGES
    assert all(kinds == ["push", "SMS"] for kinds in shown["booking.cancelled"].values())
    assert shown["booking.confirmed"] == {each: ["push"] for each in shown["booking.cancelled"]}
    assert "payment.refunded" not in shown


def test_the_text_is_the_one_that_is_sent_with_what_it_takes(screens: list[LockScreen]) -> None:
    [german] = [each for each in screens if (each.sample, each.language) == ("booking.cancelled", "de")]
    push, sms = german.notes
    assert push.title == "Ihre Buchung wurde storniert"
    assert push.measure.endswith(" of 4096 bytes")
    assert sms.title == ""
    assert sms.measure in ("1 segment, GSM-7", "2 segments, GSM-7")
    page = phone_page.page([german], "Aurora")
    assert push.title in page
    assert '<div lang="de" dir="auto">' in page


def test_a_text_is_never_markup(screens: list[LockScreen]) -> None:
    weapon = "<script>alert(1)</script>"
    note = Note("push", weapon, weapon, weapon)
    page = phone_page.page([replace(screens[0], sample=weapon, notes=(note,))], weapon)
    assert page.count("&lt;script&gt;") == 5
    assert "<script" not in page
