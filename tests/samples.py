"""The sample events beside the templates, fresh for each use."""

import json
import uuid
from pathlib import Path
from typing import Any

from notification_service.preview.samples import with_future_show

FOLDER = Path(__file__).parents[1] / "templates" / "_samples"
CONTRACT = (
    "booking.confirmed",
    "booking.cancelled",
    "booking.refunded",
    "payment.success",
    "payment.failed",
    "payment.refunded",
    "booking.pending_payment",
)


def sample(name: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON holds
    data: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return {**with_future_show(data), **changes}


def fresh(name: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON holds
    """The sample as a fact of its own: new event, booking and transaction ids."""
    own = uuid.uuid4().hex[:12]
    data = sample(name, event_id=f"evt-{own}", booking_id=f"BOOK-{own}")
    for field in ("transaction_id", "original_transaction_id", "refund_transaction_id"):
        if field in data:
            data[field] = f"{field[:3]}-{own}"
    return {**data, **changes}
