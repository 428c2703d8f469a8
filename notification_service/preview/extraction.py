"""Updates the catalogues from the templates, and finds what is still to be translated."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import write_po

from notification_service.content import catalogues
from notification_service.preview import punctuation

_METHODS = [("**.html", "jinja2"), ("**.txt", "jinja2")]
_OPTIONS = {"**": {"trimmed": "true", "newstyle_gettext": "true", "silent": "false"}}
_WIDTH = 110


def extract(templates: Path) -> Catalog:
    """Returns every sentence of the templates, with its file."""
    catalog = Catalog(project="notification-service", charset="utf-8")
    # Folder by folder: Babel passes over a folder that is a link, unless it is told of it.
    for folder in sorted(path for path in templates.iterdir() if path.is_dir()):
        # By default it skips folders that begin with an underscore.
        found = extract_from_dir(folder, _METHODS, _OPTIONS, directory_filter=lambda _: True)
        for filename, _, message, comments, context in sorted(found, key=lambda one: (one[0], one[1])):
            location = f"{folder.name}/{filename}"
            catalog.add(message, locations=[(location, 0)], auto_comments=comments, context=context)
    return catalog


def update(templates: Path) -> list[Path]:
    """Update every catalogue: add new sentences, drop old ones. Returns the files.

    A sentence that changed keeps its translation, marked as unsure (fuzzy). A regional catalogue gets no new sentences
    and loses none: it has only what differs from its language, and a person decides what becomes of that.
    """
    wanted, files = extract(templates), catalogues.files(templates)
    for path in files:
        catalog = catalogues.read(path)
        if catalogues.base_of(path):
            _relocate(catalog, wanted)
        else:
            catalog.update(wanted, update_creation_date=False)
            catalog.obsolete.clear()
        _write(path, catalog)
    return files


def _relocate(catalog: Catalog, wanted: Catalog) -> None:
    for message in catalog:
        if message.id and (found := wanted.get(message.id, message.context)):
            message.locations = found.locations


def _write(path: Path, catalog: Catalog) -> None:
    with path.open("wb") as file:
        write_po(file, catalog, width=_WIDTH, omit_header=False, include_lineno=False, sort_output=False)


def faults(templates: Path) -> Iterator[str]:
    """Yields a line for each sentence that is missing, fuzzy, outdated or broken."""
    wanted = extract(templates)
    for path in catalogues.files(templates):
        catalog = catalogues.read(path)
        for message in wanted:
            if message.id and not (catalogues.base_of(path) and catalog.get(message.id, message.context) is None):
                yield from (f"{path.name}: {fault}" for fault in _faults_of(message, catalog))
        for message in catalog:
            if message.id and wanted.get(message.id, message.context) is None:
                remedy = "give it to what came instead, or take it out" if catalogues.base_of(path) else "extract"
                yield f"{path.name}: no template holds {_named(message)!r} any more: {remedy}"


def _faults_of(wanted: Message, catalog: Catalog) -> Iterator[str]:
    found = catalog.get(wanted.id, wanted.context)
    if found is None:
        yield f"{_named(wanted)!r} is not in it: extract, then translate"
        return
    strings = [found.string] if isinstance(found.string, str) else list(found.string or ())
    if not all(strings) or (found.pluralizable and len(strings) != catalog.num_plurals):
        yield f"{_named(wanted)!r} is not translated"
    elif found.fuzzy:
        yield f"{_named(wanted)!r} is marked as unsure (fuzzy): look at it and take the mark away"
    else:
        yield from (f"{_named(wanted)!r}: {problem}" for problem in found.check(catalog))
        yield from (f"{_named(wanted)!r}: {one}" for one in _mispunctuated(wanted, strings, str(catalog.locale)))
        if any(character in text for text in strings for character in "<>&"):
            yield f"{_named(wanted)!r} holds markup, which the text part would show"


def _mispunctuated(wanted: Message, strings: Sequence[str], language: str) -> set[str]:
    return {fault for text in strings for fault in punctuation.faults(language, _named(wanted), text)}


def _named(message: Message) -> str:
    return message.id if isinstance(message.id, str) else str(message.id[0])
