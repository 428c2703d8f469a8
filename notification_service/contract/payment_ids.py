"""Finds the payment gateway's id of a payment, for events without a transaction id. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from notification_service.contract import values

_NAMES = (
    # PayU's `txnid` is chosen by the shop.
    *("gatewaytransactionid", "gatewaypaymentid", "mihpayid", "transactionid", "txnid", "tranid", "transid"),
    *("paymentid", "razorpaypaymentid", "cfpaymentid", "paymentintentid", "paymentintent"),
    *("chargeid", "charge", "captureid", "capture", "pspreference", "checkoutrequestid"),
    *("payment", "transaction", "transactionresponse", "id"),
)
"""Fields that hold the id of one payment, the most reliable first, in lower case without punctuation.

References and order numbers do not: the shop chooses them, and two payments for one order share them.
"""
_MARKS = re.compile(r"[\W_]+")


def gateway_id(answer: Mapping[str, Any] | None) -> str | None:
    """The payment's id in the gateway's answer. Where the field holds an object, the object's own `id`."""
    found = {_MARKS.sub("", str(name)).casefold(): value for name, value in (answer or {}).items()}
    named = (_text(found[name]) for name in _NAMES if name in found)
    return next((text for text in named if text), None)


def _text(value: object) -> str | None:
    if isinstance(value, Mapping):
        value = value.get("id", value.get("transId"))
    try:
        text = values.exact(value)
    except (ValueError, OverflowError):
        return None
    return None if text is None or not text.strip("0-") else text
