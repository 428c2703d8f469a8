"""Writes the page around a mail, and escapes all text of files and addresses."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import groupby
from pathlib import Path
from string import Template
from urllib.parse import quote, urlencode

from notification_service.channels.email.mail import Attachment, Mail
from notification_service.preview import checks, proofs
from notification_service.preview.gallery.template_reloader import Fault, LoadedTemplates
from notification_service.preview.mail_reader import MailReading, read
from notification_service.preview.proofs import Proof

SCHEMES = ("light", "dark")
WIDTHS = ("320", "375", "600", "800")
TABS = ("html", "text", "message", "findings")

_PAGE = Template((Path(__file__).parent / "page.html").read_text("utf-8"))
_NAMES = {
    "en": "English", "es": "Español", "fr": "Français", "de": "Deutsch", "hi": "हिन्दी", "ja": "日本語",
    "ar": "العربية", "en_XA": "Pseudo",
}  # fmt: skip
_SCHEME = re.compile(r"\(\s*prefers-color-scheme\s*:\s*(light|dark)\s*\)")
_BOTH_SCHEMES = re.compile(r'(color-schemes?(?:"\s+content="|\s*:\s*))light dark')
_ALWAYS, _NEVER = "(min-width: 0px)", "(max-width: 0px)"
_HEAD = re.compile(r"<head[^>]*>")


@dataclass(frozen=True, slots=True)
class View:
    """The request of a page; `url` is its address."""

    sample: str
    language: str = "en"
    scheme: str = "light"
    width: str = "600"
    tab: str = "html"
    root: str = ""
    """The path under which the gallery is mounted."""

    @property
    def url(self) -> str:
        asked = {"language": self.language, "scheme": self.scheme, "width": self.width, "tab": self.tab}
        return f"{self.root}/samples/{quote(self.sample, safe='')}?{urlencode(asked)}"

    @property
    def frame(self) -> str:
        return f"{self.root}/frames/{quote(self.sample, safe='')}/{quote(self.language)}/{self.scheme}"

    @property
    def message(self) -> str:
        return f"{self.root}/messages/{quote(self.sample, safe='')}/{quote(self.language)}"


def framed(mail: Mail, scheme: str) -> str:
    """Returns the HTML as a client in that colour scheme shows it.

    A page cannot choose the scheme of a frame, so the media query is replaced. Links open nothing, since the frame may
    not open windows.
    """
    html = _SCHEME.sub(lambda found: _ALWAYS if found[1] == scheme else _NEVER, proofs.with_images(mail))
    html = _BOTH_SCHEMES.sub(rf"\g<1>{scheme}", html)
    return _HEAD.sub(lambda found: found[0] + '<base target="_blank">', html, count=1)


def shown(loaded: LoadedTemplates, view: View, made: Proof | Fault) -> str:
    if isinstance(made, Fault):
        title, content = "This mail cannot be rendered", _all_choices(loaded, view) + _fault(made)
    else:
        title, content = made.mail.subject, _mail(loaded, view, made)
    return _page(loaded, view, title, content)


def nothing(loaded: LoadedTemplates, title: str, fault: Fault | None = None, root: str = "") -> str:
    """Returns the page for an unknown mail, or where there is none at all."""
    content = _fault(fault) if fault else f'<p><a href="{escape(root)}/">All samples</a></p>'
    return _page(loaded, View("", root=root), title, content)


def _page(loaded: LoadedTemplates, view: View, title: str, content: str) -> str:
    return _PAGE.substitute(
        title=escape(title),
        version=escape(loaded.version),
        samples=_samples(loaded, view),
        content=content,
        root=escape(view.root),
        back='<p class="back"><a href="/console/">The console</a></p>' if view.root else "",
    )


# ── left ─────────────────────────────────────────────────────────────────────────────────────────────
def _samples(loaded: LoadedTemplates, view: View) -> str:
    ordered = sorted(loaded.samples, key=lambda name: (loaded.samples[name].template, name))
    return "".join(
        f"<h2>{escape(template.replace('_', ' '))}</h2><ul>"
        + "".join(f"<li>{_link(replace(view, sample=name), view, name)}</li>" for name in names)
        + "</ul>"
        for template, names in groupby(ordered, key=lambda name: loaded.samples[name].template)
    )


def _link(to: View, here: View, words: str, attributes: str = "") -> str:
    current = ' aria-current="page"' if to == here else ""
    return f'<a href="{escape(to.url)}"{current}{attributes}>{escape(words)}</a>'


# ── right ────────────────────────────────────────────────────────────────────────────────────────────
def _mail(loaded: LoadedTemplates, view: View, made: Proof) -> str:
    mail = read(made.template, made.mail, made.message)
    findings = {
        "In this mail": [str(one) for one in checks.findings(made)],
        "In the catalogue": [str(one) for name, one in loaded.untranslated if name == f"{view.language}.po"],
    }
    names = {"html": "HTML", "findings": f"findings ({sum(map(len, findings.values()))})"}
    tabs = "".join(f"<li>{_link(replace(view, tab=tab), view, names.get(tab, tab))}</li>" for tab in TABS)
    tab = {"html": _html, "text": _text, "message": _message}.get(view.tab)
    content = tab(view, made) if tab else _findings({**findings, "Remarks": [*map(str, made.mail.remarks)]})
    return (
        _about(loaded, made, mail)
        + _all_choices(loaded, view)
        + f'<nav class="tabs" aria-label="Parts"><ul>{tabs}</ul></nav>{content}'
    )


def _about(loaded: LoadedTemplates, made: Proof, mail: MailReading) -> str:
    digest = "" if isinstance(loaded.renderer, Fault) else loaded.renderer.digest(made.template)
    rows = {
        "Preheader": mail.html.preheader,
        "Template": f"{made.template}, content {digest}",
        "Size": f"html {_kilobytes(len(made.mail.html.encode()))} of 40 kB, "
        f"message {_kilobytes(mail.bare_size)} of 100 kB without attachments",
        "Attached": ", ".join(map(_attachment, made.mail.attachments)) or "nothing",
    }
    return (
        '<dl class="about">'
        + "".join(f'<div><dt>{name}</dt><dd dir="auto">{escape(value)}</dd></div>' for name, value in rows.items())
        + "</dl>"
    )


def _attachment(file: Attachment) -> str:
    return f"{file.filename} ({_kilobytes(len(file.content))} kB)"


def _kilobytes(size: int) -> str:
    return f"{size / 1000:.1f}"


def _all_choices(loaded: LoadedTemplates, view: View) -> str:
    return (
        '<div class="choices">'
        + _choices("Language", loaded.languages, view, lambda one: replace(view, language=one))
        + _choices("Scheme", SCHEMES, view, lambda one: replace(view, scheme=one))
        + _choices("Width", WIDTHS, view, lambda one: replace(view, width=one))
        + "</div>"
    )


def _choices(name: str, values: Iterable[str], view: View, to: Callable[[str], View]) -> str:
    links = "".join(
        f"<li>{_link(to(value), view, _NAMES.get(value, value), _language_attribute(name, value))}</li>"
        for value in values
    )
    return f'<nav aria-label="{name}"><h2>{name}</h2><ul>{links}</ul></nav>'


def _language_attribute(name: str, value: str) -> str:
    return f' lang="{escape(value.replace("_", "-"))}"' if name == "Language" else ""


def _html(view: View, made: Proof) -> str:
    return (
        f'<div class="desk" tabindex="0" role="region" aria-label="The mail, {view.width} pixels wide">'
        f'<iframe src="{escape(view.frame)}" width="{view.width}" height="900" sandbox="allow-same-origin" '
        f'title="{escape(made.mail.subject)}"></iframe></div>'
    )


def _text(_: View, made: Proof) -> str:
    return _source("The text part", made.mail.text)


def _message(view: View, made: Proof) -> str:
    download = f'<p><a href="{escape(view.message)}" download>Download as {escape(made.name)}.eml</a></p>'
    return download + _source("The raw message", made.message.decode("utf-8", "replace").replace("\r\n", "\n"))


def _source(name: str, text: str) -> str:
    return f'<pre tabindex="0" role="region" aria-label="{name}">{escape(text)}</pre>'


def _findings(sections: Mapping[str, Sequence[str]]) -> str:
    found = "".join(f"<h2>{name}</h2>{_list(lines)}" for name, lines in sections.items() if lines)
    return found or "<p>Nothing to mend.</p>"


def _list(lines: Iterable[str]) -> str:
    return '<ul class="findings">' + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _fault(fault: Fault) -> str:
    lines = "".join(
        f'<span class="{"at-fault" if number == fault.line else "around"}">{number:4}  {escape(text)}</span>'
        for number, text in (fault.excerpt or {}).items()
    )
    excerpt = f'<pre tabindex="0" role="region" aria-label="The faulty lines">{lines}</pre>' if lines else ""
    return (
        f'<p class="fault" role="alert">{escape(fault.detail)}</p>{excerpt}'
        "<p>The mail comes back as soon as the file is saved without the fault.</p>"
    )
