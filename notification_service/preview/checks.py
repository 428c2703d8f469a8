"""Checks a mail without other programs. `make mail-check` runs external checkers as well."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from notification_service import bootstrap
from notification_service.bootstrap import further_channels
from notification_service.content import line_breaking
from notification_service.content.catalogues import LANGUAGES, PSEUDO
from notification_service.delivery.ports.composer import CompositionError
from notification_service.preview import extraction, proofs, template_rules
from notification_service.preview.mail_reader import MailReading, read
from notification_service.preview.proofs import Proof
from notification_service.settings import Settings

_ONCE = ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Auto-Submitted")
_MAX_HTML_BYTES, _MAX_MESSAGE_BYTES = 40_000, 100_000
_MAX_SUBJECT_LENGTH = 60
_MAX_LINE_LENGTH = 998
_LINK = re.compile(r"https://[^\s/]+\S*|mailto:[^@\s]+@[^@\s]+")
_UNFILLED = re.compile(
    r"\b(?:None|null|undefined|NaN|Unknown Movie)\b|%\(\w+\)s|\{\{ *(?:event|person|brand|links|terms|cinema)\b"
)
_DOUBLE_SPACE = re.compile(r"\S+[ \u00a0]{2,}\S+")
_EMPTY_LINES = re.compile(r"\n[ \t]*\n[ \t]*\n")
_INVISIBLE = re.compile(r"[\s\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_BETWEEN = ".{0,3}"
"""The text that may be between a label and its value, without white space."""


@dataclass(frozen=True, slots=True)
class MailFault:
    """A fault, and its `remedy`."""

    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}: {self.remedy}"


Findings = Iterator[MailFault]


# ── the checks ───────────────────────────────────────────────────────────────────────────────────────
def parts(mail: MailReading) -> Findings:
    """The MIME structure (RFC 2045 to 2047), by Python's parser: text first, then HTML."""
    for part in mail.message.walk():
        for defect in (*part.defects, *(d for value in part.values() for d in getattr(value, "defects", ()))):
            detail = str(defect) or type(defect).__name__
            yield MailFault(
                f"{part.get_content_type()} does not parse cleanly ({detail})", "tell the developers: mime.py"
            )
    kinds = [part.get_content_type() for part in mail.message.walk() if part.get_content_maintype() == "text"]
    if kinds[:2] != ["text/plain", "text/html"]:
        yield MailFault(f"its texts are {', '.join(kinds)}", "body.txt comes first, then body.html: mime.py")


def headers(mail: MailReading) -> Findings:
    counts = Counter(name.title() for name in mail.message)
    for name in _ONCE:
        if not counts[name.title()]:
            yield MailFault(f"the header {name} is missing", "tell the developers: mime.py")
    for name, count in counts.items():
        if count > 1:
            yield MailFault(f"the header {name} occurs {count} times", "tell the developers: mime.py")


def sizes(mail: MailReading) -> Findings:
    """The size of the mail: Gmail shows 102 kB, and the rest behind a link."""
    if (size := len(mail.mail.html.encode())) >= _MAX_HTML_BYTES:
        yield MailFault(f"the html has {size} bytes", f"shorten {mail.template}/body.html to below {_MAX_HTML_BYTES}")
    if (size := mail.bare_size) >= _MAX_MESSAGE_BYTES:
        yield MailFault(
            f"the message has {size} bytes without attachments", f"shorten it to below {_MAX_MESSAGE_BYTES}"
        )


def subject(mail: MailReading) -> Findings:
    text = str(mail.message["Subject"] or "")
    if len(text) > _MAX_SUBJECT_LENGTH:
        shorten = f"shorten {mail.template}/subject.txt, or its translation, to {_MAX_SUBJECT_LENGTH}"
        yield MailFault(f"the subject has {len(text)} characters", shorten)
    if not text.strip():
        yield MailFault("the subject is empty", f"write one in {mail.template}/subject.txt")


def lines(mail: MailReading) -> Findings:
    """Line ends and line lengths (RFC 5322 §2.1.1)."""
    if re.search(rb"(?<!\r)\n|\r(?!\n)", mail.raw):
        yield MailFault("a line does not end with CR LF", "tell the developers: mime.py")
    if (longest := max(map(len, mail.raw.split(b"\r\n")))) > _MAX_LINE_LENGTH:
        yield MailFault(
            f"a line has {longest} bytes, and {_MAX_LINE_LENGTH} are allowed", "tell the developers: mime.py"
        )


def links(mail: MailReading) -> Findings:
    for link in mail.html.links:
        if not _LINK.fullmatch(link):
            yield MailFault(f"the link {link[:80]!r} is neither https nor mailto", "give it in full, or leave it out")


def inline_images(mail: MailReading) -> Findings:
    """Each inline image is attached, and each image that is attached for it is shown (RFC 2392)."""
    there = {image.content_id for image in mail.mail.attachments if image.content_id}
    shown = {source.removeprefix("cid:") for source in mail.html.sources if source.startswith("cid:")}
    for missing in sorted(shown - there):
        yield MailFault(f"no part has the Content-ID {missing!r}", f"take cid:{missing} out of the html, or attach it")
    for unused in sorted(there - shown):
        yield MailFault(f"the image {unused!r} is attached and not shown", f"show it as cid:{unused}")
    for source in mail.html.sources:
        if not source.startswith(("cid:", "https://")):
            yield MailFault(f"the image {source[:80]!r} is neither inline nor https", "attach it, and show it as cid:")


def images(mail: MailReading) -> Findings:
    for image in mail.html.images:
        missing = [name for name in ("alt",) if name not in image]
        missing += [name for name in ("width", "height") if not image.get(name, "").isdigit()]
        if missing:
            yield MailFault(f"the image {image.get('src', '')[:80]!r} has no {', no '.join(missing)}", "write it there")


def facts(mail: MailReading) -> Findings:
    """The text part has the same facts as the HTML."""
    text = _visible(mail.mail.text)
    for row in mail.html.facts:
        if not re.search(_BETWEEN.join(re.escape(_visible(cell)) for cell in row), text):
            yield MailFault(f"the text does not say {': '.join(row)!r}", f"add it to {mail.template}/body.txt")


def unknown_values(mail: MailReading) -> Findings:
    """Neither unknown values nor unfilled placeholders reach a reader."""
    places = {"subject": [mail.mail.subject], "text": [mail.mail.text], "html": mail.html.texts}
    for place, texts in places.items():
        for found in sorted({found for text in texts for found in _UNFILLED.findall(text)}):
            yield MailFault(f"the {place} says {found!r}", "put an {% if %} around what may be unknown")


def holes(mail: MailReading) -> Findings:
    """Two spaces in a row show that a value is missing in a sentence."""
    places = {"subject": [mail.mail.subject], "text": [mail.mail.text], "html": mail.html.texts}
    for place, texts in places.items():
        for found in sorted({found for text in texts for found in _DOUBLE_SPACE.findall(text)}):
            yield MailFault(
                f"the {place} has two spaces in {found[:60]!r}",
                "a value is missing there, or there is a space too many",
            )


def empty_rows(mail: MailReading) -> Findings:
    for tag, count in sorted(Counter(mail.html.empty).items()):
        yield MailFault(f"{count} <{tag}> in the html without text", "put an {% if %} around it")
    if _EMPTY_LINES.search(mail.mail.text):
        yield MailFault("the text has two empty lines in a row", f"take one out of {mail.template}/body.txt")
    for label, *_ in filter(None, mail.html.facts):
        if re.search(rf"^{re.escape(label)}: *(?:\n\s*\n|\n?\Z)", mail.mail.text, re.MULTILINE):
            yield MailFault(f"the text has a row {label!r} without a value", "write it as {{ fact(label, value) }}")


def columns(mail: MailReading) -> Findings:
    """No line of the text is wider than its reader, or begins or ends with what may not stand there (JIS X 4051)."""
    for line in mail.mail.text.splitlines():
        for fault in line_breaking.line_faults(line):
            yield MailFault(f"a line of the text {fault}: {line[:40]!r}", "tell the developers: line_breaking.py")


CHECKS: tuple[Callable[[MailReading], Findings], ...] = (
    parts,
    headers,
    sizes,
    subject,
    lines,
    links,
    inline_images,
    images,
    facts,
    unknown_values,
    holes,
    empty_rows,
    columns,
)


def _visible(text: str) -> str:
    """The text without white space, break opportunities and direction marks."""
    return _INVISIBLE.sub("", text)


# ── all of them on all of it ─────────────────────────────────────────────────────────────────────────
def findings(made: Proof) -> Findings:
    mail = read(made.template, made.mail, made.message)
    for check in CHECKS:
        # Subjects of the pseudo-locale are too long on purpose.
        if not (check is subject and made.language == PSEUDO):
            yield from check(mail)


def translations(templates: Path, languages: Sequence[str]) -> Iterator[tuple[str, MailFault]]:
    """Yields the faults in the catalogues of these languages, with the file's name."""
    for fault in extraction.faults(templates):
        name, _, what = fault.partition(": ")
        if name.removesuffix(".po") in languages:
            yield name, MailFault(what, f"see {templates / LANGUAGES / name}")


@dataclass(slots=True)
class CheckReport:
    """`found`: the faults, each with its sample and language, or its catalogue."""

    mails: int
    languages: Sequence[str]
    found: list[tuple[str, MailFault]]

    def __str__(self) -> str:
        result = "nothing to mend" if not self.found else f"{len(self.found)} to mend"
        return f"{self.mails} mails in {', '.join(self.languages)} checked: {result}"


def run(
    settings: Settings, languages: Sequence[str] = (), *, on_mail: Callable[[int], object] = lambda _: None
) -> CheckReport:
    """Check every sample in each of these languages, or in all. Raises `ConfigurationError`.

    `on_mail`: called with the number of all mails, before each.
    """
    samples = list(proofs.mailed(settings))
    renderer = bootstrap.load_renderer(settings)
    report = CheckReport(0, proofs.chosen(renderer, languages) or renderer.languages, [])
    for sample, notification in samples:
        for language in report.languages:
            report.mails += 1
            on_mail(len(samples) * len(report.languages))
            try:
                made = proofs.proof(settings, renderer, sample.name, notification, language)
            except CompositionError as problem:
                found = [MailFault(f"it cannot be rendered ({problem})", "mend the template in that line")]
                report.found += [(f"{sample.name}.{language}", one) for one in found]
                continue
            report.found += [(made.name, one) for one in findings(made)]
    templates = bootstrap.templates_directory(settings)
    report.found += translations(templates, report.languages)
    report.found += ((one.where, MailFault(one.what, one.remedy)) for one in template_rules.faults(templates))
    short = (*further_channels.sms_faults(settings), *further_channels.push_faults(settings))
    report.found += ((where, MailFault(what, "mend it there")) for where, what in short)
    return report


def as_json(report: CheckReport) -> Mapping[str, object]:
    found = [{"where": where, **asdict(finding)} for where, finding in report.found]
    return {"mails": report.mails, "languages": list(report.languages), "findings": found}


def extract(templates: Path) -> Iterator[str]:
    """Update the catalogues from the templates. Yields one line for each, with its result."""
    before = {path: path.read_bytes() for path in (templates / LANGUAGES).glob("*.po")}
    files = extraction.update(templates)
    lacking = Counter(fault.partition(": ")[0] for fault in extraction.faults(templates))
    for path in files:
        result = "was up to date" if path.read_bytes() == before[path] else "brought up to date"
        to_do = f"{lacking[path.name]} to translate or to mend" if lacking[path.name] else "complete"
        yield f"{path}: {result}, {to_do}"
