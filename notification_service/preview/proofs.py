"""Renders every sample to files: HTML, text, and the whole message."""

import base64
import html
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from notification_service import bootstrap
from notification_service.channels.email.mail import Mail
from notification_service.channels.email.rendering import Renderer
from notification_service.content import variant_folders
from notification_service.content.templates import SAMPLES
from notification_service.contract import events, notification_ids
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.notification_rules import TEMPLATES
from notification_service.contract.variants import Variant, control_name, variant_name
from notification_service.delivery import planning
from notification_service.delivery.planning import Notification
from notification_service.delivery.ports.composer import MessageIds
from notification_service.delivery.ports.directory import Recipient
from notification_service.foundation.errors import ConfigurationError
from notification_service.preview import samples
from notification_service.preview.samples import Sample
from notification_service.settings import Settings

_JANE = Recipient("jane.smith@example.com", "Jane", "Smith")
_INLINE = re.compile(r"""(?<=src=["'])cid:([^"']+)""")


@dataclass(frozen=True, slots=True)
class Proof:
    """The mail of one sample as it would go out. `language`: None for that of its event."""

    sample: str
    language: str | None
    template: str
    mail: Mail
    message: bytes = field(repr=False)

    @property
    def name(self) -> str:
        return f"{self.sample}.{self.language}" if self.language else self.sample


def mailed(settings: Settings) -> Iterator[tuple[Sample, Notification]]:
    """Yields the samples that become a mail, with special cases, and again for a variant of their template.

    Raises `ConfigurationError` with the file.
    """
    templates = bootstrap.templates_directory(settings)
    for path in sorted((templates / SAMPLES).glob("*.json")):
        _check_sample(path)
    variants = variant_folders.find(templates, TEMPLATES)
    for sample in samples.load(templates, variants=True):
        notification = planning.plan(sample.inbound, max_bytes=settings.service.max_event_bytes)
        if isinstance(notification, Notification):
            yield sample, notification
            name = variant_name(notification.template, Variant.B)
            if name in variants:
                yield replace(sample, name=f"{sample.name}@{Variant.B}"), replace(notification, template=name)


def _check_sample(path: Path) -> None:
    try:
        data = json.loads(path.read_text("utf-8"))
        if not isinstance(data, dict) or "event_type" not in data:
            raise ConfigurationError(f"sample {path}:1: it has to be an object with an event_type")
        reading = events.read(data, str(data["event_type"]))
        for remark in reading.remarks if reading else ():
            raise ConfigurationError(f"sample {path}: {remark}")
    except json.JSONDecodeError as problem:
        raise ConfigurationError(f"sample {path}:{problem.lineno}: {problem.msg}") from problem
    except ValueError as problem:
        raise ConfigurationError(f"sample {path}: {problem}") from problem


def proof(
    settings: Settings, renderer: Renderer, sample: str, notification: Notification, language: str | None
) -> Proof:
    """Render one sample. Raises `CompositionError` with file and line."""
    notification_id = notification_ids.notification_id(
        notification.fact, None, control_name(notification.template), ChannelKind.EMAIL
    )
    ids = MessageIds(
        notification_id, notification.event_id, notification.template, notification.event.booking_id, datetime.now(UTC)
    )
    mail, message = bootstrap.email_composer(settings, renderer, preview=True).proof(
        notification.event, _JANE, ids, language
    )
    return Proof(sample, language, notification.template, mail, message.content)


def chosen(renderer: Renderer, languages: Sequence[str]) -> Sequence[str]:
    """Returns the languages. Raises `ConfigurationError` where one has no catalogue."""
    for language in languages:
        if language not in renderer.languages:
            raise ConfigurationError(f"--language {language!r} is unknown; there are {', '.join(renderer.languages)}")
    return languages


def write(
    settings: Settings,
    out: Path,
    *,
    languages: Sequence[str] = (),
    every_language: bool = False,
    on_proof: Callable[[int], object] = lambda _: None,
) -> list[Proof]:
    """Write .html, .txt and .eml files and an index.html to `out`, and return the proofs.

    Without `languages`, each sample is in the language of its event, and its file names have no language.
    `on_proof`: called with the number of all proofs, after each.
    """
    found = list(mailed(settings))
    renderer = bootstrap.load_renderer(settings)
    asked: Sequence[str | None] = renderer.languages if every_language else chosen(renderer, languages) or (None,)
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for sample, notification in found:
        for language in asked:
            made = proof(settings, renderer, sample.name, notification, language)
            (out / f"{made.name}.html").write_text(with_images(made.mail), "utf-8")
            (out / f"{made.name}.txt").write_text(made.mail.text, "utf-8")
            (out / f"{made.name}.eml").write_bytes(made.message)
            written.append(made)
            on_proof(len(found) * len(asked))
    (out / "index.html").write_text(_index(written), "utf-8")
    return written


def with_images(mail: Mail) -> str:
    """Returns the HTML with its inline images as data URLs: a browser cannot resolve a Content-ID."""
    images = {image.content_id: image for image in mail.attachments if image.content_id}

    def data(found: re.Match[str]) -> str:
        image = images.get(found[1])
        return f"data:{image.media_type};base64,{base64.b64encode(image.content).decode()}" if image else found[0]

    return _INLINE.sub(data, mail.html)


def _index(written: list[Proof]) -> str:
    sections = "\n".join(
        f"<h2>{html.escape(sample)}</h2>\n<ul>\n{''.join(map(_row, made))}</ul>"
        for sample, made in groupby(written, key=lambda one: one.sample)
    )
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Mails</title>\n'
        f"<style>body{{font:16px/1.5 system-ui,sans-serif;margin:2rem}}</style>\n<h1>Mails</h1>\n{sections}\n</html>\n"
    )


def _row(made: Proof) -> str:
    name = html.escape(made.name, quote=True)
    language = f"{html.escape(made.language)}: " if made.language else ""
    return (
        f'<li>{language}<a href="{name}.html"><bdi>{html.escape(made.mail.subject)}</bdi></a> '
        f'(<a href="{name}.txt">text</a>, <a href="{name}.eml">message</a>)</li>\n'
    )
