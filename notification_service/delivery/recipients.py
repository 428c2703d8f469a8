"""Who gets the message: the event's own address, else the user's, else that of the booking's user."""

from dataclasses import dataclass, replace

from notification_service.contract.events import Event
from notification_service.contract.outcomes import Rejected, RejectReason, Skipped, SkipReason
from notification_service.contract.remarks import Remark
from notification_service.delivery.ports.composer import Composer
from notification_service.delivery.ports.directory import Directory, Recipient
from notification_service.foundation.addresses import NotAnAddressError


@dataclass(frozen=True, slots=True)
class Addressee:
    """A recipient, and the address that the channel reaches them by."""

    recipient: Recipient
    address: str


async def find(event: Event, directory: Directory, composer: Composer) -> Addressee | Rejected | Skipped:
    """Find the recipient, or the reason why there is none. Raises `StoreUnavailableError`."""
    faults, name = [], composer.address_field
    for source, ask in _SOURCES:
        if recipient := await ask(event, directory, name):
            if composer.optional and not getattr(recipient, name):
                # Many users have no address of an optional channel: that is no fault of their accounts.
                continue
            try:
                address = composer.address(recipient)
            except NotAnAddressError as problem:
                faults.append(f"{source.format(name)}: {problem}")
            else:
                return Addressee(replace(recipient, **{name: address}), address)
    if faults:
        return Rejected(RejectReason.BAD_ADDRESS, "; ".join(faults))
    if composer.optional:
        return Skipped(SkipReason.NO_ADDRESS)
    return Rejected(
        RejectReason.NO_RECIPIENT,
        f"no user_{name} in the event, and neither its user_id nor its booking_id leads to a user; "
        "add the user or the address and replay it",
    )


def passed_over(event: Event, recipient: Recipient, composer: Composer) -> tuple[Remark, ...]:
    """A remark where the event's own address is invalid, so that the message goes to another one."""
    name = composer.address_field
    said = getattr(event, f"user_{name}", None)
    if not said or said == getattr(recipient, name):
        return ()
    try:
        composer.address(Recipient(**{name: said}))
    except NotAnAddressError as problem:
        return (Remark(f"user_{name}", f"is passed over for the address of the account: {problem}"),)
    return ()


async def _named(event: Event, _: Directory, name: str) -> Recipient | None:
    said = getattr(event, f"user_{name}", None)
    return Recipient(**{name: said}) if said else None


async def _user(event: Event, directory: Directory, _: str) -> Recipient | None:
    return await directory.user(event.user_id) if event.user_id else None


async def _user_of_booking(event: Event, directory: Directory, _: str) -> Recipient | None:
    return await directory.user_of_booking(event.booking_id) if event.booking_id else None


_SOURCES = (
    ("user_{} of the event", _named),
    ("{} of the event's user", _user),
    ("{} of the booking's user", _user_of_booking),
)
