"""What an operator should know of a mail although it goes out."""

from collections.abc import Collection

from notification_service.channels.email.mail import Attachment
from notification_service.content import (
    catalogues,
    formatting,
)
from notification_service.content.localization import Localization
from notification_service.contract.amounts import Amount
from notification_service.contract.events import Event
from notification_service.contract.remarks import Remark
from notification_service.contract.showtimes import parse_showtime
from notification_service.delivery.ports.directory import Recipient


def within_size(files: list[Attachment], max_bytes: int | None) -> tuple[list[Attachment], list[Remark]]:
    """Returns the files that fit beside those before them, and a remark for each that does not."""
    if max_bytes is None or sum([len(file.content) for file in files]) <= max_bytes:
        return files, []
    fitting: list[Attachment] = []
    remarks = []
    for file in files:
        if sum(len(one.content) for one in fitting) + len(file.content) <= max_bytes:
            fitting.append(file)
        else:
            detail = (
                f"go without {file.filename}: it has {len(file.content)} bytes, and MAX_ATTACHMENT_BYTES={max_bytes}"
            )
            remarks.append(Remark("attachments", detail))
    return fitting, remarks


def of_values(event: Event, localization: Localization) -> list[Remark]:
    """Remarks on values that the mail shows as they were sent. They do not repeat the values."""
    remarks = [
        Remark(name, "is shown as it was sent: it can be read in two ways, or in none")
        for name, value in event.__dict__.items()
        if type(value) is Amount and localization.currency and formatting.priced(value, localization) is None
    ]
    if localization.currency is None:
        remarks.append(Remark("currency", "is shown as it was sent: it is no currency, or could be several"))
    if event.time_zone is not None and localization.zone is None:
        remarks.append(Remark("time_zone", "is no zone: the showtime is shown without one"))
    showtime = event.__dict__.get("showtime")
    if showtime and parse_showtime(showtime, localization.zone) is None:
        remarks.append(Remark("showtime", "is shown as it was sent: it names no moment, or could name two"))
    return remarks


def of_language(
    event: Event, person: Recipient, localization: Localization, languages: Collection[str]
) -> list[Remark]:
    """A remark where the language that was asked for is none of `languages`."""
    asked = event.locale or person.locale
    if asked and catalogues.choose([asked], languages) is None:
        return [Remark("locale", f"{asked[:40]!r} has no catalogue: the mail is written in {localization.locale}")]
    return []
