"""`.env.example` says what the settings say."""

import itertools
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import pytest
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from notification_service.settings import Settings, load

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / ".env.example"
LINE = re.compile(r"#([A-Z_]+)=(.*)")


def _written() -> dict[str, str]:
    lines = EXAMPLE.read_text("utf-8").splitlines()
    found = [(match[1], match[2]) for line in lines if (match := LINE.fullmatch(line))]
    assert len({name for name, _ in found}) == len(found), "a setting stands there twice"
    return dict(found)


def _settings() -> Iterator[tuple[str, object]]:
    for field in Settings.model_fields.values():
        part: type[BaseSettings] = field.annotation  # type: ignore[assignment]  # every field of the tree is a slice
        prefix = part.model_config.get("env_prefix", "")
        yield from ((f"{prefix}{name}".upper(), each.default) for name, each in part.model_fields.items())


def _as_text(default: object) -> str:
    match default:
        case None | ():
            return ""
        case SecretStr():
            return default.get_secret_value()
        case bool():
            return str(default).lower()
        case Enum():
            return str(default.value)
        case tuple():
            return ",".join(map(str, default))
    return str(default)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, _ in _settings():
        monkeypatch.delenv(name, raising=False)


def test_it_names_every_setting_with_its_default_and_no_other() -> None:
    assert _written() == {name: _as_text(default) for name, default in _settings()}


def test_a_plain_copy_changes_nothing(bare: None) -> None:
    assert load(EXAMPLE) == load(None)
    assert not load(EXAMPLE).live


def test_every_line_of_it_can_be_read(bare: None, tmp_path: Path) -> None:
    uncommented = tmp_path / "env"
    uncommented.write_text("".join(f"{name}={value}\n" for name, value in _written().items()))
    assert load(uncommented) == load(None)


def test_every_setting_is_explained() -> None:
    """Each stands under a comment of its own, or directly under a setting that shares one."""
    lines = EXAMPLE.read_text("utf-8").splitlines()
    for above, line in itertools.pairwise(lines):
        if LINE.fullmatch(line):
            assert above.startswith("# ") or LINE.fullmatch(above), line
