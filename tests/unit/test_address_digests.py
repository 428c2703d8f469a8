"""Every address that an event names, in whatever spelling, is found by the digest of that address and by no other."""

import base64
import time
from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st

from notification_service.foundation import address_digests
from notification_service.foundation.address_digests import MAX_DIGESTS, MORE, Digests, named_in, names, texts_in

JANE = "jane.smith@guests.example"
KEYED = Digests(["a key of the tests, of some length"])
EIN = base64.b64encode(f"To: {JANE}".encode()).decode()


@pytest.mark.parametrize(
    "text",
    [
        JANE,
        "Jane.SMITH@Guests.Example",
        f"Jane Smith <{JANE}>",
        f'"Smith, Jane" <{JANE}>, joe@x.example',
        f"mailto:{JANE}?subject=x",
        f"https://shop.example/?email={JANE}&x=1",
        f"https://shop.example/?email={quote(JANE, safe='')}",
        f"https://shop.example/?u={quote(quote(JANE, safe=''), safe='')}",
        "jane.smith&#64;guests.example",
        "jane.smith&commat;guests.example",
        r'{"user_email": "jane.smith\u0040guests.example"',
        r"jane\x2esmith\x40guests.example",
        "jane.smith=40guests.example",
        f"=?utf-8?B?{EIN}?=",
        base64.urlsafe_b64encode(f'{{"user":"{JANE}"}}'.encode()).decode().rstrip("="),
        f"[{JANE}]",
        f"({JANE})",
        f"'{JANE}'",
        f"`{JANE}`",
        f"written to {JANE}.",
        f"{JANE}, {JANE};",
        f"user:{JANE}:7",
        f"550 5.1.1 <{JANE}>: Recipient address rejected",
        "\uff4aane.smith\uff20guests.example",
        "jane.smith@guests\u3002example",
        "jane.\u200bsmith@guests.example",
        "j\0a\0n\0e\0.\0s\0m\0i\0t\0h\0@\0g\0u\0e\0s\0t\0s\0.\0e\0x\0a\0m\0p\0l\0e\0",
        f"\r\nBcc: {JANE}\r\n",
        f"{JANE} {JANE}\x1b[2J",
        '"jane.smith"@guests.example',
    ],
    ids=ascii,
)
def test_an_address_is_found_however_it_is_written(text: str) -> None:
    assert names(JANE, [text])
    assert set(KEYED.of([text])) & set(KEYED.to_search(JANE))


@pytest.mark.parametrize(
    "text",
    [
        "jane.smith+cinema@guests.example",
        "xjane.smith@guests.example",
        "jane.smith@guests.example.org",
        "jane.smith@sub.guests.example",
        "smith@guests.example",
        "jane-smith@guests.example",
        "j***@guests.example",
        "jane.smith @ home",
        "jane.smith at guests.example",
    ],
)
def test_another_mailbox_is_another(text: str) -> None:
    assert not names(JANE, [text])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Jane@B\u00fcCHER.example", "jane@xn--bcher-kva.example"),
        ("jan\u00e9@x.example", "JANE\u0301@x.example"),
        ("o'brien@x.example", "O'Brien@X.example"),
        ("jane..doe@docomo.example", "Jane..Doe@docomo.example"),
        ("\ufb01n@x.example", "fin@x.example"),
    ],
)
def test_spellings_of_one_mailbox_have_one_digest(one: str, other: str) -> None:
    assert KEYED.of([one]) == KEYED.of([other])
    assert names(one, [other])


def test_texts_are_found_at_any_depth_and_in_the_names_of_fields() -> None:
    deep: object = {JANE: 1}
    for _ in range(5000):
        deep = [deep]
    assert JANE in list(texts_in({"a": deep, "b": (None, 7, True)}))


@pytest.mark.parametrize("name", ["booking_id", "bookingId", "fact", "reference"])
def test_in_an_id_a_dash_may_stand_before_an_address_and_in_a_text_it_is_a_part_of_it(name: str) -> None:
    assert names(JANE, texts_in({name: f"BOOK-{JANE}"}))
    assert names("anne-marie@x.example", texts_in({name: "A_1#anne-marie@x.example"}))
    assert not names("marie@x.example", texts_in({"user_email": "anne-marie@x.example"}))


def test_a_digest_tells_nothing_without_its_key_and_older_keys_still_find() -> None:
    before, after = Digests(["the key of last year"]), Digests(["the key of this year", "the key of last year"])
    assert before.of([JANE]) != after.of([JANE])
    assert set(before.of([JANE])) < set(after.to_search(JANE))
    assert not set(before.of([JANE])) & set(Digests(["the key of this year"]).to_search(JANE))
    assert set(before.key_ids) < set(after.key_ids)
    assert Digests([]).of([JANE]) == []


def test_the_digests_of_one_record_are_bounded_and_the_rest_is_said() -> None:
    many = [f"a{number}@x.example" for number in range(5000)]
    digests = KEYED.of(many)
    assert (len(digests), digests[-1]) == (MAX_DIGESTS + 1, MORE)
    assert MORE in KEYED.to_search(JANE)


@pytest.mark.parametrize(
    "text",
    [
        "a@" * 100_000,
        "a" * 256_000,
        "@" * 256_000,
        "a.b@c.d " * 30_000,
        "%40" * 80_000,
        "=40" * 80_000,
        "&#64;" * 50_000,
    ],
    ids=lambda text: text[:8],
)
def test_no_event_takes_long(text: str) -> None:
    started = time.process_time()
    named_in([text])
    assert time.process_time() - started < 3


@given(st.text(alphabet='ab."@@<> -,é', max_size=400))
def test_looking_near_each_at_sign_finds_what_looking_everywhere_finds(text: str) -> None:
    found = list(address_digests._parts_of_addresses(text))
    assert found == address_digests._ADDRESS.findall(text)


@given(st.binary(max_size=40), st.sampled_from([b"@", b"%40"]), st.binary(max_size=40))
def test_base64_that_holds_an_address_is_never_passed_over(before: bytes, sign: bytes, after: bytes) -> None:
    content = before + sign + after
    for encoded in (base64.b64encode(content), base64.urlsafe_b64encode(content)):
        assert address_digests._AT_IN_BASE64.search(encoded.decode())
