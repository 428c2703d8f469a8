"""Loads templates, catalogues and samples, again after each change of a file."""

import hashlib
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from notification_service import bootstrap
from notification_service.channels.email.mime import AttachmentError
from notification_service.channels.email.rendering import Renderer
from notification_service.content.catalogues import LANGUAGES, PSEUDO, SOURCE
from notification_service.delivery.planning import Notification
from notification_service.delivery.ports.composer import CompositionError
from notification_service.foundation.errors import ConfigurationError
from notification_service.preview import checks, proofs
from notification_service.preview.checks import MailFault
from notification_service.preview.proofs import Proof
from notification_service.settings import Settings

_FILE_AND_LINE = re.compile(r"(?P<file>/[^:\n]+):(?P<line>\d+)")
_CONTEXT_LINES = 3
"""Lines shown before and after the faulty one."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why there is no mail. `excerpt`: the lines around the faulty one, by number."""

    detail: str
    line: int | None = None
    excerpt: Mapping[int, str] | None = None


@dataclass(frozen=True, slots=True)
class LoadedTemplates:
    """The content of one `version` of the files."""

    version: str
    languages: Sequence[str]
    samples: Mapping[str, Notification]
    renderer: Renderer | Fault
    untranslated: Sequence[tuple[str, MailFault]] = ()


class TemplateReloader:
    """Safe to use from several threads; one of them reads the files."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._templates = bootstrap.templates_directory(settings)
        self._lock = threading.Lock()
        self._loaded = LoadedTemplates("", (SOURCE,), {}, Fault("Nothing was loaded yet."))

    def version(self) -> str:
        """Returns a digest of names, sizes and times of all files."""
        seen = hashlib.sha256()
        for path in sorted(self._templates.rglob("*")):
            # An editor may remove a file meanwhile.
            if path.is_file() and (stat := _stat(path)):
                seen.update(f"{path}\0{stat}\0".encode("utf-8", "surrogateescape"))
        return seen.hexdigest()[:16]

    def current(self) -> LoadedTemplates:
        """Returns the current files, which are read again if they changed."""
        with self._lock:
            version = self.version()
            if version != self._loaded.version:
                self._loaded = self._load(version)
            return self._loaded

    def proof(self, loaded: LoadedTemplates, sample: str, language: str) -> Proof | Fault:
        if isinstance(loaded.renderer, Fault):
            return loaded.renderer
        try:
            return proofs.proof(self._settings, loaded.renderer, sample, loaded.samples[sample], language)
        except (CompositionError, AttachmentError) as problem:
            return self._fault(str(problem))

    def _load(self, version: str) -> LoadedTemplates:
        languages = (
            SOURCE,
            *sorted(path.stem for path in (self._templates / LANGUAGES).glob("*.po")),
            PSEUDO,
        )
        samples = self._loaded.samples
        try:
            samples = {sample.name: notification for sample, notification in proofs.mailed(self._settings)}
            renderer = bootstrap.load_renderer(self._settings)
            untranslated = list(checks.translations(self._templates, languages))
        except ConfigurationError as problem:
            return LoadedTemplates(version, languages, samples, self._fault(str(problem)))
        except Exception as problem:  # noqa: BLE001 - a file that is being written may break anything; the page says so
            return LoadedTemplates(version, languages, samples, self._fault(f"{type(problem).__name__}: {problem}"))
        return LoadedTemplates(version, languages, samples, renderer, untranslated)

    def _fault(self, detail: str) -> Fault:
        place = _FILE_AND_LINE.search(detail)
        if place is None:
            return Fault(detail)
        number, path = int(place["line"]), Path(place["file"]).resolve()
        if not path.is_relative_to(self._templates.resolve()) or not path.is_file():
            return Fault(detail, number)
        lines = enumerate(path.read_text("utf-8", "replace").splitlines(), start=1)
        return Fault(detail, number, {at: text for at, text in lines if abs(at - number) <= _CONTEXT_LINES})


def _stat(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size
