"""Who gets the message: the event's own address, else the user's, else that of the booking's user."""

from dataclasses import dataclass, replace
from typing import Any

from notification_service.contract.events import Event
from notification_service.contract.outcomes import Rejected, RejectReason, Skipped, SkipReason
from notification_service.contract.remarks import Remark
from notification_service.delivery.ports.composer import Composer
from notification_service.delivery.ports.directory import ConsentRule, Directory, Recipient
from notification_service.foundation.addresses import NotAnAddressError, key


@dataclass(frozen=True, slots=True)
class Addressee:
    """A recipient, and the address that the channel reaches them by. `of_event`: the event itself brought it."""

    recipient: Recipient
    address: str
    of_event: bool = False


async def objection(
    found: Addressee, event: Event, directory: Directory, composer: Composer, rule: ConsentRule
) -> Skipped | None:
    """Why its user gets nothing by this channel; None where they do. Raises `StoreUnavailableError`."""
    wish = await _wish(found, event, directory, composer)
    if wish is False:
        refused = f"its user refused messages by {composer.channel} ({rule.setting}_FIELD)"
        return Skipped(SkipReason.NO_CONSENT, f"{refused}: what stands there is a no, or cannot be read as a yes")
    if wish is None and rule.required:
        detail = f"nobody knows whether its user agrees to messages by {composer.channel} ({rule.setting}_REQUIRED)"
        return Skipped(SkipReason.NO_CONSENT, detail)
    return None


async def find(
    event: Event, directory: Directory, composer: Composer, *, ask_consent: bool = False
) -> Addressee | Rejected | Skipped:
    """Find the recipient, or the reason why there is none. Raises `StoreUnavailableError`.

    `ask_consent`: where the event brings the address itself, its user is looked up for their consent to be counted.
    """
    faults, name = [], composer.address_field
    for source, ask in _SOURCES:
        if recipient := await ask(event, directory, name):
            if composer.optional and not getattr(recipient, name):
                # Many users have no address of an optional channel: that is no fault of their accounts.
                continue
            try:
                address = composer.address(recipient)
            except NotAnAddressError as problem:
                faults.append(f"{source.format(name, _field_of_event(name))}: {problem}")
            else:
                reached = _with_address(recipient, name, address)
                if ask_consent and ask is _named:
                    consent = await _consents(event, directory, composer, address)
                    reached = replace(reached, tracking_consent=consent)
                return Addressee(reached, address, of_event=ask is _named)
    if faults:
        return Rejected(RejectReason.BAD_ADDRESS, "; ".join(faults))
    if composer.optional:
        return Skipped(SkipReason.NO_ADDRESS)
    return Rejected(
        RejectReason.NO_RECIPIENT,
        f"no {_field_of_event(name)} in the event, and neither its user_id nor its booking_id leads to a user; "
        "add the user or the address and replay it",
    )


async def _wish(found: Addressee, event: Event, directory: Directory, composer: Composer) -> bool | None:
    """Whether the user wants messages by this channel; None where nobody knows.

    A no is about the person, a yes about their own number: another one in the event may be somebody else's.
    """
    if not found.of_event:
        return found.recipient.consents.get(composer.channel)
    user = await _user(event, directory, "") or await _user_of_booking(event, directory, "")
    wish = user.consents.get(composer.channel) if user else None
    return None if wish and user and not _is_theirs(user, found.address, composer) else wish


def _is_theirs(user: Recipient, address: str, composer: Composer) -> bool:
    """Whether the user has this address too. Devices are a person's own, and come and go."""
    if isinstance(getattr(user, composer.address_field), tuple):
        return True
    try:
        return key(composer.address(user)) == key(address)
    except NotAnAddressError:
        return False


async def _consents(event: Event, directory: Directory, composer: Composer, address: str) -> bool:
    """Whether the event's user has this address and agrees. Nobody agrees for the reader of another address."""
    user = await directory.user(event.user_id) if event.user_id else None
    if user is None or not user.tracking_consent:
        return False
    return _is_theirs(user, address, composer)


def passed_over(event: Event, recipient: Recipient, composer: Composer) -> tuple[Remark, ...]:
    """A remark where the event's own address is invalid, so that the message goes to another one."""
    name = composer.address_field
    field = _field_of_event(name)
    said = getattr(event, field, None)
    if not said or said == getattr(recipient, name):
        return ()
    try:
        composer.address(Recipient(**{name: said}))
    except NotAnAddressError as problem:
        return (Remark(field, f"is passed over for the address of the account: {problem}"),)
    return ()


def _with_address(recipient: Recipient, name: str, address: str) -> Recipient:
    """The recipient with the address as it was read; a person's devices stay as they are."""
    if not isinstance(getattr(recipient, name), str):
        return recipient
    changed: dict[str, Any] = {name: address}
    return replace(recipient, **changed)


def _field_of_event(name: str) -> str:
    """The field of an event that brings this address of a recipient."""
    return f"user_{name}" if name == "email" else name


async def _named(event: Event, _: Directory, name: str) -> Recipient | None:
    said = getattr(event, _field_of_event(name), None)
    return Recipient(**{name: said}) if said else None


async def _user(event: Event, directory: Directory, _: str) -> Recipient | None:
    return await directory.user(event.user_id) if event.user_id else None


async def _user_of_booking(event: Event, directory: Directory, _: str) -> Recipient | None:
    return await directory.user_of_booking(event.booking_id) if event.booking_id else None


_SOURCES = (
    ("{1} of the event", _named),
    ("{0} of the event's user", _user),
    ("{0} of the booking's user", _user_of_booking),
)
