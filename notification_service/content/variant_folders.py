"""The variants of templates: folders `<template>@b`, for every channel, with only the files that differ."""

import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path

from jinja2 import Environment, Template

from notification_service.content.catalogues import LANGUAGES
from notification_service.content.templates import SHARED
from notification_service.contract.variants import Variant, control_name, variant_name
from notification_service.foundation.errors import ConfigurationError

_MARK = "@"
_TEXTS = (".txt", ".html")
"""What a variant may have of its own."""


def find(directory: Path, templates: Collection[str]) -> tuple[str, ...]:
    """Returns the names of the variants, such as `payment_failed@b`.

    Raises `ConfigurationError` for a folder or a file in it that would never be used.
    """
    folders = sorted(path for path in directory.glob(f"*{_MARK}*") if path.is_dir())
    return tuple(_checked(folder, templates) for folder in folders)


def _checked(folder: Path, templates: Collection[str]) -> str:
    control = control_name(folder.name)
    if control not in templates or not folder.with_name(control).is_dir():
        raise ConfigurationError(
            f"template folder {folder}: there is no template {control!r} that it could be a variant of; "
            f"there are {', '.join(templates)}"
        )
    if folder.name != variant_name(control, Variant.B):
        raise ConfigurationError(f"template folder {folder}: the one variant of a template is {control}@b: rename it")
    # Hidden files are those of editors and of mounted volumes.
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    if not files:
        raise ConfigurationError(f"template folder {folder} is empty: put the files in it that differ, or remove it")
    for path in files:
        _check_file(path, folder.with_name(control))
    return folder.name


def _check_file(path: Path, control: Path) -> None:
    if not (control / path.name).is_file():
        raise ConfigurationError(
            f"template file {path}: {control.name} has no such file, so it would not be used: rename it; "
            f"translations of its sentences go into {LANGUAGES}/"
        )
    if not path.is_file():
        raise ConfigurationError(f"template file {path} cannot be read as a file: replace it, or remove it")
    if path.suffix not in _TEXTS:
        raise ConfigurationError(f"template file {path}: variants have the same {path.name}: remove it")


def has_own(directory: Path, name: str, file: str) -> bool:
    """Whether this file of a template or variant is its own, and not its control's."""
    return (directory / name / file).is_file()


def require(variants: Collection[str], name: str, setting: str) -> None:
    """Raises `ConfigurationError` unless the variant that a setting names has a folder."""
    if name not in variants:
        raise ConfigurationError(f"{setting}: there is no template folder {name}: create it with the files that differ")


def part(environment: Environment, name: str, file: str) -> Template:
    """Returns one file of a template or variant, compiled; of a variant that has none of its own, its control's.

    Raises `jinja2.TemplateNotFound` and `jinja2.TemplateSyntaxError`.
    """
    return environment.select_template([f"{name}/{file}", f"{control_name(name)}/{file}"])


def digest(directory: Path, name: str, parts: Collection[str]) -> str:
    """A digest of these files of a template or variant, with the shared ones, the catalogues, and its control's."""
    hashed = hashlib.sha256()
    for path in _files(directory, name, parts):
        hashed.update(path.relative_to(directory).as_posix().encode() + b"\0" + path.read_bytes())
    return hashed.hexdigest()[:16]


def _files(directory: Path, name: str, parts: Collection[str]) -> Iterator[Path]:
    for folder in (SHARED, LANGUAGES):
        yield from sorted((directory / folder).glob("*.*"))
    for each in dict.fromkeys((control_name(name), name)):
        yield from (path for part in parts if (path := directory / each / part).is_file())
