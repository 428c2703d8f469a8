"""Codes that only we can make: for one purpose, one message and one size, under keys that change."""

import pytest

from notification_service.foundation.keyed_tokens import TokenKeys

OLD, NEW = "an old secret of some length", "a new secret of some length"
KEYS = TokenKeys({2: NEW, 1: OLD})


def test_the_newest_key_signs_and_every_key_verifies() -> None:
    key_id, mac = KEYS.sign(b"click", b"message", 12)
    assert (key_id, len(mac)) == (2, 12)
    assert KEYS.verify(b"click", 2, b"message", mac)
    old_id, old = TokenKeys({1: OLD}).sign(b"click", b"message", 12)
    assert KEYS.verify(b"click", old_id, b"message", old)
    assert not TokenKeys({2: NEW}).verify(b"click", old_id, b"message", old), "its key was taken away"


def test_a_code_is_for_its_purpose_message_key_and_size_alone() -> None:
    key_id, mac = KEYS.sign(b"click", b"message", 12)
    assert not KEYS.verify(b"unsubscribe", key_id, b"message", mac)
    assert not KEYS.verify(b"click", key_id, b"Message", mac)
    assert not KEYS.verify(b"click", 1, b"message", mac)
    assert not KEYS.verify(b"click", 9, b"message", mac)
    assert not KEYS.verify(b"click", key_id, b"message", mac[:8]), "the beginning of a code is no code"
    assert not KEYS.verify(b"click", key_id, b"message", b"")
    assert not KEYS.verify(b"clic", key_id, b"kmessage", mac), "where the purpose ends is signed"


@pytest.mark.parametrize("size", [0, 7, 33])
def test_a_code_is_long_enough_to_be_one(size: int) -> None:
    with pytest.raises(ValueError, match="bytes"):
        KEYS.sign(b"click", b"message", size)


def test_without_a_key_nothing_is_signed_and_nothing_verifies() -> None:
    with pytest.raises(ValueError, match="LINK_KEYS"):
        TokenKeys({}).sign(b"click", b"message", 12)
    assert not TokenKeys({}).verify(b"click", 0, b"message", bytes(12))
