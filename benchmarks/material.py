"""What the rivals need, made once by our renderer: a finished mail, and templates for Jinja2 and Handlebars alike."""

from datetime import UTC, datetime
from pathlib import Path

from notification_service import bootstrap, settings
from notification_service.channels.email import mime
from notification_service.contract.inbound import InboundMessage
from notification_service.delivery import planning
from notification_service.delivery.planning import Notification
from notification_service.delivery.ports.composer import MessageIds
from notification_service.delivery.ports.directory import Recipient
from tests.samples import fresh
from tests.stack.publisher import Publication, event

MIX = ("booking.confirmed", "payment.success", "booking.cancelled", "payment.failed", "payment.refunded")
_BOOKING = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
_JANE = Recipient("jane.smith@example.com", "Jane", "Smith")
_FIELDS = ("booking_id", "transaction_id", "refund_transaction_id", "movie_title", "cinema_name")
"""Plain texts, which need no filter of ours to be written."""


def publication(number: int) -> Publication:
    """The event of this number in the mix, as a fact of its own."""
    kind = MIX[number % len(MIX)]
    # A refund names nobody, and leads to its person only over a booking that is known.
    changes = {"booking_id": _BOOKING} if kind == "payment.refunded" else {}
    return event(fresh(kind, **changes))


def write(folder: Path) -> Path:
    """Each kind's mail in our words, looks and size, with the event's plain texts left open; `ready.eml` whole."""
    folder.mkdir(parents=True, exist_ok=True)
    read = settings.load(None)
    renderer = bootstrap.load_renderer(read)
    for number, kind in enumerate(MIX):
        body = publication(number).body
        notice = planning.plan(InboundMessage(body, kind), max_bytes=read.service.max_event_bytes)
        if not isinstance(notice, Notification):
            raise TypeError(f"the sample {kind} makes no mail: {notice}")
        mail = renderer.render(notice.template, notice.event, _JANE)
        (folder / f"{kind}.subject").write_text(mail.subject, "utf-8")
        for suffix, text in (("html", mail.html), ("txt", mail.text)):
            (folder / f"{kind}.{suffix}").write_text(_opened(text, notice), "utf-8")
        if number == 0:
            ids = MessageIds("ready", notice.event_id, notice.template, notice.event.booking_id, datetime.now(UTC))
            sender_identity = mime.SenderIdentity("tickets@cinema.example", "Cinema")
            whole = mime.compose(mail, _JANE.email or "", sender_identity, ids, max_attachment_bytes=2**20)
            (folder / "ready.eml").write_bytes(whole.content)
    return folder


def _opened(text: str, notice: Notification) -> str:
    for name in _FIELDS:
        if value := getattr(notice.event, name, None):
            text = text.replace(value, f"{{{{ {name} }}}}")
    return text
