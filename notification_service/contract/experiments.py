"""Reads the definition of a test, and says which variant of its template a person gets. Pure."""

import hashlib
import re

from notification_service.contract.events import Event
from notification_service.contract.notification_rules import TEMPLATES
from notification_service.contract.variants import Assignment, Experiment, Variant

_SEPARATOR = "\x1f"
_SALT = re.compile(r"[A-Za-z0-9_-]{1,40}")
_UNIT_DIGITS = 32
_EXAMPLE = "payment_failed:b=0.5:salt=2026-12:wanted=0.05"
_KEYS = frozenset({"a", "b", "salt", "wanted"})
_TOLERANCE = 1e-9
_SMALLEST = 1e-6
"""Of a share and of a wanted difference: no traffic shows less."""


def parse_experiment(text: str) -> Experiment:
    """Read `<template>:b=<share>:salt=<name>:wanted=<difference>`. Raises `ValueError` with what to do."""
    template, *pairs = (each.strip() for each in text.split(":"))
    values = dict(each.split("=", 1) for each in pairs if "=" in each)
    if len(values) < len(pairs) or not values.keys() <= _KEYS:
        raise ValueError(f"expected one test such as {_EXAMPLE}")
    if missing := sorted(_KEYS - {"a"} - values.keys()):
        raise ValueError(f"{' and '.join(missing)} is missing; expected a test such as {_EXAMPLE}")
    if template not in TEMPLATES:
        raise ValueError(f"unknown template {template!r}; known: {', '.join(TEMPLATES)}")
    if not _SALT.fullmatch(values["salt"]):
        raise ValueError("the salt has 1 to 40 letters, digits, hyphens or underscores, such as 2026-12")
    share, wanted = _between("b", values["b"]), _between("wanted", values["wanted"])
    if "a" in values and abs(_between("a", values["a"]) + share - 1) > _TOLERANCE:
        raise ValueError(f"the weights a={values['a']} and b={values['b']} do not add up to 1; leave a out")
    return Experiment(template, share, values["salt"], wanted)


def _between(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not _SMALLEST <= number <= 1 - _SMALLEST:
        raise ValueError(f"{name}={text} has to be a number between 0 and 1, such as 0.5")
    return number


def unit_of(event: Event) -> str | None:
    """Who or what is assigned: the user, else the booking, else the payment; None where the event names none."""
    payment = getattr(event, "transaction_id", None) or getattr(event, "original_transaction_id", None)
    return event.user_id or event.booking_id or payment


def assign(experiment: Experiment, unit: str) -> Assignment:
    """The same unit gets the same variant of a test, whoever asks and whenever.

    The first 8 bytes of SHA-256(salt, U+001F, unit) as a share of 2**64 are compared with the share of `b`.
    """
    hashed = hashlib.sha256(f"{experiment.salt}{_SEPARATOR}{unit}".encode("utf-8", "surrogatepass"))
    place = int.from_bytes(hashed.digest()[:8]) / 2**64
    variant = Variant.B if place < experiment.share else Variant.A
    return Assignment(experiment.salt, hashed.hexdigest()[:_UNIT_DIGITS], variant)
