"""What there is to show, loaded anew when a file of the templates changed."""

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

_PLACE = re.compile(r"(?P<file>/[^:\n]+):(?P<line>\d+)")
_AROUND = 3
"""Lines shown before and after the one at fault."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why there is no mail; `excerpt` has the lines around the one at fault, by number."""

    detail: str
    line: int | None = None
    excerpt: Mapping[int, str] | None = None


@dataclass(frozen=True, slots=True)
class LoadedTemplates:
    """Everything as it was in one `version` of the files."""

    version: str
    languages: Sequence[str]
    samples: Mapping[str, Notification]
    renderer: Renderer | Fault
    untranslated: Sequence[tuple[str, MailFault]] = ()


class TemplateReloader:
    """Asked from several threads; the files are read by one of them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._templates = bootstrap.templates_directory(settings)
        self._lock = threading.Lock()
        self._scene = LoadedTemplates("", (SOURCE,), {}, Fault("Nothing was loaded yet."))

    def version(self) -> str:
        """Another one after each change of a file: of its time, its size or its name."""
        seen = hashlib.sha256()
        for path in sorted(self._templates.rglob("*")):
            # An editor may take a file away while this looks.
            if path.is_file() and (stat := _stat(path)):
                seen.update(f"{path}\0{stat}\0".encode("utf-8", "surrogateescape"))
        return seen.hexdigest()[:16]

    def scene(self) -> LoadedTemplates:
        with self._lock:
            version = self.version()
            if version != self._scene.version:
                self._scene = self._load(version)
            return self._scene

    def proof(self, scene: LoadedTemplates, sample: str, language: str) -> Proof | Fault:
        if isinstance(scene.renderer, Fault):
            return scene.renderer
        try:
            return proofs.proof(self._settings, scene.renderer, sample, scene.samples[sample], language)
        except (CompositionError, AttachmentError) as problem:
            return self._fault(str(problem))

    def _load(self, version: str) -> LoadedTemplates:
        spoken = sorted(path.stem for path in (self._templates / LANGUAGES).glob("*.po"))
        languages = (SOURCE, *spoken, PSEUDO)
        samples = self._scene.samples
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
        place = _PLACE.search(detail)
        if place is None:
            return Fault(detail)
        number, path = int(place["line"]), Path(place["file"]).resolve()
        if not path.is_relative_to(self._templates.resolve()) or not path.is_file():
            return Fault(detail, number)
        lines = enumerate(path.read_text("utf-8", "replace").splitlines(), start=1)
        return Fault(detail, number, {at: text for at, text in lines if abs(at - number) <= _AROUND})


def _stat(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size
