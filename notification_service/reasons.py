"""Why a payment failed, as the reader may be told: what gateways and banks write, sorted into a few reasons.

The sentences stand in `templates/_base/words.txt`, so that they can be changed and translated there.
"""

import re
from enum import StrEnum

from notification_service.events import PaymentFailed


class Reason(StrEnum):
    FUNDS = "funds"
    EXPIRED = "expired"
    DETAILS = "details"
    """The number, the code or the address on file do not fit."""
    LIMIT = "limit"
    CHECK = "check"
    """The bank wanted a confirmation by its customer, such as 3-D Secure."""
    SUSPECTED = "suspected"
    """Lost, stolen, fraud: whoever reads the mail is told no more than that the bank stopped it."""
    UNSUPPORTED = "unsupported"
    TECHNICAL = "technical"
    CANCELLED = "cancelled"
    DECLINED = "declined"


# In this order: the first that fits names the reason. Codes are read in capitals, without what divides their words;
# the numbers are ISO 8583 response codes.
_SIGNS: tuple[tuple[Reason, str], ...] = (
    (Reason.FUNDS, r"INSUFFICIENT|NOTENOUGH|LOWBALANCE|NSF|^51$"),
    (Reason.EXPIRED, r"EXPIRED(?!SESSION)|EXPIREDCARD|CARDEXPIR|^(33|54)$"),
    (
        Reason.DETAILS,
        r"CVV|CVC|SECURITYCODE|INCORRECT|INVALID(CARD|NUMBER|EXPIR|ACCOUNT|PIN)|WRONG|AVS|ZIP|POSTALCODE|^(14|55|82|N7)$",
    ),
    (Reason.LIMIT, r"LIMIT|VELOCITY|EXCEEDED|TOOMANY|^(61|65)$"),
    (Reason.CHECK, r"3D?S|AUTHENTICATION|AUTHREQUIRED|OTP|SCA|^1A$"),
    (Reason.SUSPECTED, r"FRAUD|STOLEN|LOSTCARD|^LOST|PICKUP|RESTRICTED|SUSPECT|BLACKLIST|^(04|07|41|43|59|62)$"),
    (Reason.UNSUPPORTED, r"NOTSUPPORTED|UNSUPPORTED|CURRENCY|NOTPERMITTED|NOTALLOWED|^(57|58)$"),
    (Reason.TECHNICAL, r"TIMEOUT|TIMEDOUT|UNAVAILABLE|PROCESSINGERROR|NETWORK|GATEWAYERROR|SYSTEM|TRYAGAIN|^(91|96)$"),
    (Reason.CANCELLED, r"CANCEL|ABANDON|ABORT"),
    (Reason.DECLINED, r"DECLIN|REFUSED|REJECTED|DONOTHONO|CALLISSUER|^05$"),
)
_PATTERNS = tuple((reason, re.compile(signs)) for reason, signs in _SIGNS)
_BY_THE_BANK = frozenset(
    {Reason.FUNDS, Reason.EXPIRED, Reason.DETAILS, Reason.LIMIT, Reason.SUSPECTED, Reason.DECLINED, Reason.UNSUPPORTED}
)
_REFUSED = re.compile(r"DECLINED|REFUSED|REJECTED", re.IGNORECASE)
_LONGEST_CODE = 200


def reason(event: PaymentFailed) -> Reason | None:
    """The reason that the event's code names, else its text; None where neither is known."""
    gateway = event.gateway_response or {}
    codes = [event.error_code, gateway.get("error_code"), gateway.get("decline_code"), event.failure_reason]
    found = [known for code in codes if isinstance(code, str) and (known := _sorted(code))]
    # "Declined" is what a gateway says beside the reason, so a second, finer word is the better one.
    return next((known for known in found if known is not Reason.DECLINED), found[0] if found else None)


def _sorted(code: str) -> Reason | None:
    word = "".join(character for character in code[:_LONGEST_CODE].upper() if character.isalnum())
    fitting = [known for known, signs in _PATTERNS if signs.search(word)]
    # "Insufficient funds or card declined" names none: it is not told which.
    if len(fitting) > 1 and " or " in code:
        return Reason.DECLINED
    return fitting[0] if fitting else None


def nothing_charged(event: PaymentFailed) -> bool:
    """Whether that is known: the gateway itself calls the payment declined, and the reason lies with the bank."""
    status = (event.gateway_response or {}).get("gateway_status")
    return isinstance(status, str) and bool(_REFUSED.fullmatch(status)) and reason(event) in _BY_THE_BANK
