"""What a gateway calls a payment, where the booking system does not name it. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from notification_service.contract import values

_NAMES = (
    # PayU's `txnid` is the shop's own.
    *("gatewaytransactionid", "gatewaypaymentid", "mihpayid", "transactionid", "txnid", "tranid", "transid"),
    *("paymentid", "razorpaypaymentid", "cfpaymentid", "paymentintentid", "paymentintent"),
    *("chargeid", "charge", "captureid", "capture", "pspreference", "checkoutrequestid"),
    *("payment", "transaction", "transactionresponse", "id"),
)
"""Fields that name one payment, the surest first, without case and marks.

References and order numbers are none: a shop gives those itself, and two payments for one order share them.
"""
_MARKS = re.compile(r"[\W_]+")


def gateway_id(answer: Mapping[str, Any] | None) -> str | None:
    """The payment's id in what the gateway answered; an object that stands for it gives its own `id`."""
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
