"""Numbers are judged before anybody pays for them, each refusal with its reason."""

import pytest

from notification_service.channels.sms.numbers import country_of, read_number
from notification_service.delivery.ports.directory import NO_TEXT
from notification_service.foundation.addresses import NotAnAddressError, mask, mask_in


@pytest.mark.parametrize(
    ("text", "country", "number"),
    [
        ("+4915112345678", None, "+4915112345678"),
        (" +49 (151) 123-45678 ", None, "+4915112345678"),
        ("\u202a+4915112345678\u202c", None, "+4915112345678"),
        ("tel:+33612345678", None, "+33612345678"),
        ("+٤٩١٥١١٢٣٤٥٦٧٨", None, "+4915112345678"),
        ("+1 415 555 0132", None, "+14155550132"),
        ("015112345678", "DE", "+4915112345678"),
        ("0151 / 123 456-78", "DE", "+4915112345678"),
        ("0151/12345678", "DE", "+4915112345678"),
        ("+49 151/12345678", None, "+4915112345678"),
        ("0049 151 12345678", None, "+4915112345678"),
        ("0049 (0)151 12345678", "DE", "+4915112345678"),
        (
            "\uff0b\uff14\uff19\uff11\uff15\uff11\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18",
            None,
            "+4915112345678",
        ),
        ("011 49 151 12345678", "US", "+4915112345678"),
        ("+79161234567", None, "+79161234567"),
        ("+5511987654321", None, "+5511987654321"),
        ("+33612345678", "DE", "+33612345678"),
        ("09876543210", "IN", "+919876543210"),
        # Copied out of a page, a table or a sentence.
        ("+49\u00a0151\u202f12345678", None, "+4915112345678"),
        ("+49\t151\u200912345678", None, "+4915112345678"),
        ("0151\u00a0/\u00a012345678", "DE", "+4915112345678"),
        ("(+49) 151 12345678", None, "+4915112345678"),
        ("(0049) 151 12345678", None, "+4915112345678"),
        ("[+49] 151 12345678", None, "+4915112345678"),
        ("'+4915112345678", None, "+4915112345678"),
        ('"+4915112345678"', None, "+4915112345678"),
        ("=+4915112345678", None, "+4915112345678"),
        ("<+4915112345678>", None, "+4915112345678"),
        ("\u260e\ufe0f +49 151 12345678", None, "+4915112345678"),
        ("+49 \u202a151 12345678\u202c", None, "+4915112345678"),
        ("\u2066+49\u2069 151\ufe0f12345678", None, "+4915112345678"),
        ("00-49-151-12345678", None, "+4915112345678"),
        ("00.49.151.12345678", None, "+4915112345678"),
        # The prefix 00 in digits of other scripts, and the long vowel in place of a dash.
        ("٠٠٤٩١٥١١٢٣٤٥٦٧٨", None, "+4915112345678"),
        ("۰۰۹۸ ۹۱۲ ۳۴۵ ۶۷۸۹", None, "+989123456789"),
        ("००९१ ९८१२३ ४५६७८", None, "+919812345678"),
        ("\uff10\uff19\uff10\u30fc\uff11\uff12\uff13\uff14\u30fc5678", "JP", "+819012345678"),
    ],
)
def test_a_mobile_number_is_written_in_e164(text: str, country: str | None, number: str) -> None:
    assert read_number(text, country) == number


@pytest.mark.parametrize(
    ("text", "country", "reason"),
    [
        ("", "DE", "empty"),
        ("\u200e \u200f", None, "empty"),
        (NO_TEXT, "DE", "a list, an object"),
        ("+", "DE", "no phone number"),
        ("++4915112345678", None, "several"),
        ("+4915112345678\n+4915112345679", None, "line break"),
        ("+49\r\n15112345678", "DE", "line break"),
        ("+4915112345678\u2028+4915112345679", "DE", "line break"),
        ("+49151\x0b12345678", "DE", "line break"),
        ("+49151\x8512345678", None, "line break"),
        ("-4915112345678", None, "SMS_DEFAULT_COUNTRY"),
        ("\u22124915112345678", None, "SMS_DEFAULT_COUNTRY"),
        ("*31#+4915112345678", None, "extension"),
        ("+881612345678", None, "no country"),
        ("+870773123456", "DE", "no country"),
        ("015112345678/015112345679", "DE", "several"),
        ("0151/12345678/9", "DE", "several"),
        ("112", "DE", "area code|too few"),
        ("*#06#", "DE", "no phone number"),
        ("000151123456", None, "SMS_DEFAULT_COUNTRY"),
        ("+33899123456", None, "premium"),
        ("+390612345678", None, "fixed line"),
        ("+551198765432", None, "no such number"),
        ("+4412", None, "too few"),
        ("tel:+4915112345678;phone-context=+49", None, "extension"),
        ("null", "DE", "letters"),
        ("Call +4915112345678 now", None, "letters"),
        ("+1-800-FLOWERS", None, "letters"),
        ("+4915112345678 mobil", None, "letters"),
        ("+14155550132 ext. 5", None, "extension"),
        ("+14155550132x5", None, "extension"),
        ("+33612345678;ext=3", None, "extension"),
        ("+14155550132#5", None, "extension"),
        ("+499001234567", None, "premium"),
        ("+18005551234", None, "toll-free"),
        ("+49301234567", None, "fixed line"),
        ("+442079460958", None, "fixed line"),
        ("015112345678", None, "SMS_DEFAULT_COUNTRY"),
        ("4915112345678", None, "SMS_DEFAULT_COUNTRY"),
        ("+999123456", None, "prefix"),
        ("+491511", None, "too few|no such"),
        ("+49151123456789999", None, "digits|no such"),
        ("+4915112345678, +4915112345679", None, "several"),
        ("+4915112345678/9", None, "several"),
        ("+14155550132 " * 9, None, "longer"),
        ("+11234567890", None, "no such number"),
        ("+88213123456", None, "no such number"),
    ],
)
def test_every_other_number_is_refused_with_its_reason_and_without_the_number(
    text: str, country: str | None, reason: str
) -> None:
    with pytest.raises(NotAnAddressError, match=reason) as problem:
        read_number(text, country)
    assert not any(part in str(problem.value) for part in text.split() if len(part) > 4)


def test_a_number_is_priced_by_its_country() -> None:
    assert [country_of(each) for each in ("+4915112345678", "+14155550132", "+16135550123")] == ["DE", "US", "CA"]


def test_a_number_is_masked_in_logs_and_records() -> None:
    assert mask("+4915112345678") == "+49***78"
    assert mask_in("The 'To' number +4915112345678 is not valid.") == "The 'To' number +49***78 is not valid."
    assert mask_in("at 2026-11-29T10:00:00+00:00, 12345678901") == "at 2026-11-29T10:00:00+00:00, 12345678901"
    assert mask("short") == "***"
