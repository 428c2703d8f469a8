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


def find(directory: Path, templates: Collection[str]) -> tuple[str, ...]:
    """Returns the names of the variants, such as `payment_failed@b`.

    Raises `ConfigurationError` for a folder or a file in it that would never be used.
    """
    folders = sorted(path for path in directory.glob(f"*{_MARK}*") if path.is_dir())
    return tuple(_checked(folder, templates) for folder in folders)


def _checked(folder: Path, templates: Collection[str]) -> str:
    control = control_name(folder.name)
    if folder.name != variant_name(control, Variant.B):
        raise ConfigurationError(f"template folder {folder}: the one variant of a template is {control}@b: rename it")
    if control not in templates or not folder.with_name(control).is_dir():
        raise ConfigurationError(
            f"template folder {folder}: there is no template {control!r} that it could be a variant of; "
            f"there are {', '.join(templates)}"
        )
    files = sorted(path.name for path in folder.iterdir())
    if not files:
        raise ConfigurationError(f"template folder {folder} is empty: put the files in it that differ, or remove it")
    for name in files:
        if not (folder.with_name(control) / name).is_file():
            raise ConfigurationError(
                f"template file {folder / name}: {control} has no such file, so it would not be used: rename it"
            )
    return folder.name


def require(variants: Collection[str], name: str, setting: str) -> None:
    """Raises `ConfigurationError` unless the variant that a setting names has a folder."""
    if name not in variants:
        raise ConfigurationError(f"{setting}: there is no template folder {name}: create it with the files that differ")


def part(environment: Environment, name: str, file: str) -> Template:
    """Returns one file of a template or variant, compiled; of a variant that has none of its own, its control's.

    Raises `jinja2.TemplateNotFound` and `jinja2.TemplateSyntaxError`.
    """
    return environment.select_template([f"{name}/{file}", f"{control_name(name)}/{file}"])


def digest(directory: Path, name: str) -> str:
    """A digest of the files of a template or variant, with the shared ones, the catalogues, and its control's."""
    hashed = hashlib.sha256()
    for path in _files(directory, name):
        hashed.update(path.relative_to(directory).as_posix().encode() + b"\0" + path.read_bytes())
    return hashed.hexdigest()[:16]


def _files(directory: Path, name: str) -> Iterator[Path]:
    for folder in dict.fromkeys((SHARED, LANGUAGES, control_name(name), name)):
        yield from sorted((directory / folder).glob("*.*"))
