"""One HTML page with the SMS and push message of every sample and language, as a phone's lock screen shows them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from itertools import groupby

from notification_service import bootstrap
from notification_service.channels.push import template_loading as push_texts
from notification_service.channels.push.composer import PushComposer
from notification_service.channels.push.devices import PushService
from notification_service.channels.push.payloads import MAX_PAYLOAD_BYTES, size
from notification_service.channels.sms import template_loading as sms_texts
from notification_service.channels.sms.composer import SmsComposer
from notification_service.content import catalogues
from notification_service.contract.devices import Device
from notification_service.delivery.planning import Notification
from notification_service.delivery.ports.composer import MessageIds
from notification_service.delivery.ports.directory import Recipient
from notification_service.preview.samples import Sample
from notification_service.settings import Settings

_DEVICE = Recipient(device_tokens=(Device("0" * 64),))
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;margin:2rem;color:#1d1d1f;background:#f5f5f7}
section{display:flex;flex-wrap:wrap;gap:1.5rem;margin-bottom:2.5rem}
figure{margin:0;width:20rem}
figcaption{font-size:.8rem;padding:.4rem .6rem;color:#515154}
.phone{border:.5rem solid #111;border-radius:2.2rem;padding:1.2rem .7rem 1.6rem;min-height:17rem;
background:linear-gradient(160deg,#2b4a6f,#533a63 60%,#7a3d4f)}
.clock{font-size:3rem;line-height:1;font-weight:300;text-align:center;margin:.3rem 0 1.2rem;color:#fff}
.note{background:#f7f7fa;color:#111;border-radius:1.1rem;padding:.6rem .8rem;margin-top:.5rem;
font-size:.86rem;line-height:1.35;overflow-wrap:anywhere}
.from{display:flex;justify-content:space-between;font-size:.72rem;color:#515154}
.note p,.note strong{display:block;margin:0;white-space:pre-line;unicode-bidi:plaintext}
@media(prefers-color-scheme:dark){body{color:#f5f5f7;background:#161618}figcaption{color:#aeaeb2}}
"""


@dataclass(frozen=True, slots=True)
class Note:
    """A message as the lock screen shows it. `title`: empty for an SMS. `measure`: what of the limit it takes."""

    kind: str
    title: str
    body: str
    measure: str


@dataclass(frozen=True, slots=True)
class LockScreen:
    """The messages of one sample in one language."""

    sample: str
    language: str
    notes: tuple[Note, ...]


def lock_screens(settings: Settings, found: Sequence[tuple[Sample, Notification]]) -> list[LockScreen]:
    """In every language. Samples without a short text are left out.

    Raises `ConfigurationError` and `CompositionError`, with file and line.
    """
    directory, profile = bootstrap.templates_directory(settings), bootstrap.profile(settings)
    sms = sms_texts.unchecked(directory, profile, default_country=None)
    push = push_texts.unchecked(directory, profile, tuple(PushService))
    languages = [each for each in sms.texts.languages if each != catalogues.PSEUDO]
    screens = [
        LockScreen(sample.name, language, (*_push(push, notification, language), *_sms(sms, notification, language)))
        for sample, notification in found
        for language in languages
    ]
    return [each for each in screens if each.notes]


def _sms(composer: SmsComposer, notification: Notification, language: str) -> Iterator[Note]:
    if notification.template in composer.texts.names:
        text, _, segments = composer.fitted(notification.event, Recipient(), notification.template, language)
        many = "segment" if segments.count == 1 else "segments"
        yield Note("SMS", "", text, f"{segments.count} {many}, {segments.encoding}")


def _push(composer: PushComposer, notification: Notification, language: str) -> Iterator[Note]:
    if notification.template in composer.texts.names:
        event = notification.event
        ids = MessageIds("0" * 32, "", notification.template, event.booking_id, datetime.now(UTC))
        message = composer.compose(event, _DEVICE, ids, language)
        yield Note("push", message.title, message.body, f"{size(message)} of {MAX_PAYLOAD_BYTES} bytes")


def page(screens: Sequence[LockScreen], brand: str) -> str:
    """The page in HTML. `brand`: the sender's name."""
    sections = "\n".join(
        f"<h2>{escape(sample)}</h2>\n<section>\n{''.join(_figure(each, brand) for each in shown)}</section>"
        for sample, shown in groupby(screens, key=lambda one: one.sample)
    )
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>SMS and push</title>\n'
        f"<style>{_STYLE}</style>\n<h1>SMS and push</h1>\n{sections}\n</html>\n"
    )


def _figure(screen: LockScreen, brand: str) -> str:
    notes = "".join(_note(each, brand, screen.language) for each in screen.notes)
    said = " · ".join(f"{each.kind}: {each.measure}" for each in screen.notes)
    return (
        f'<figure><div class="phone"><div class="clock">20:15</div>{notes}</div>'
        f"<figcaption>{escape(screen.language)} · {escape(said)}</figcaption></figure>\n"
    )


def _note(note: Note, brand: str, language: str) -> str:
    title = f"<strong>{escape(note.title)}</strong>" if note.title else ""
    return (
        f'<div class="note"><div class="from"><span>{escape(brand)}</span><span>{note.kind}</span></div>'
        f'<div lang="{language.replace("_", "-")}" dir="auto">{title}<p>{escape(note.body)}</p></div></div>'
    )
