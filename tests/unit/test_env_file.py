"""A line of `.env` that Docker Compose reads otherwise than we do is told, whatever it holds."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values

from notification_service.cli.doctor import CheckResult, examine
from notification_service.cli.env_file import doubts
from notification_service.settings import load
from tests.stack.processes import free_port

ALIKE = [
    ("V=a b", "a b"),
    ("V= a b ", "a b"),
    ("V = a", "a"),
    ("export V=a", "a"),
    ("V=a=b,c;d", "a=b,c;d"),
    ("V=a#b", "a#b"),
    ("V=a #b", "a"),
    ("V=#b", "#b"),
    ("V='a #b'", "a #b"),
    ('V="a #b"', "a #b"),
    ("V='a' #b", "a"),
    ("V='a$b'", "a$b"),
    ("V='a$$b$'", "a$$b$"),
    ("V='a\\$b'", "a\\$b"),
    ("V='it\\'s'", "it's"),
    ("V=it's", "it's"),
    ('V="it\'s"', "it's"),
    ("V='a\"b'", 'a"b'),
    ('V="a\\"b"', 'a"b'),
    ("V=a\\b", "a\\b"),
    ("V=a\\\\b", "a\\\\b"),
    ("V='a\\nb'", "a\\nb"),
    ('V="a\\nb"', "a\nb"),
    ('V="a\\\\b"', "a\\b"),
    ("V=a\r", "a"),
    ("V='a\nb'", "a\nb"),
    ('V=\'{"a": "b"}\'', '{"a": "b"}'),
    ("V=%24", "%24"),
    ("V=", ""),
    ("V=''", ""),
]
"""What both take it for: by `docker-compose config` of Compose 2.26.1, and by python-dotenv."""

APART = [
    ("V=a$b", "a", "a$b"),
    ("V=a$$b", "a$b", "a$$b"),
    ("V=a\\$b", "a\\", "a\\$b"),
    ("V=a$NOBODY", "a", "a$NOBODY"),
    ("V=a${b-c}", "ac", "a"),
    ("V=${}", None, ""),
    ("V=a${b", None, "a${b"),
    ('V="a$b"', "a", "a$b"),
    ('V="a$$b"', "a$b", "a$$b"),
    ('V="a\\$b"', "a$b", "a\\$b"),
    ("V='a${b}c'", "a${b}c", "ac"),
    ("V='a\\\\b'", "a\\\\b", "a\\b"),
    ('V="a\\\'b"', "a\\'b", "a'b"),
    ("V= #b", "#b", ""),
    ("V=\u2003a", "\u2003a", "a"),
]
"""None: Compose refuses the whole file."""

LOST = ["V='a' b", "V='a'b", 'V="a" b', "V: a", "V='a", 'V="a', "V='a\\", "V='a''b'"]


@pytest.mark.parametrize(("line", "value"), ALIKE)
def test_what_both_read_alike_is_not_doubted(tmp_path: Path, line: str, value: str) -> None:
    assert written(tmp_path, line) == value
    assert doubts(tmp_path / ".env") == []


@pytest.mark.parametrize(("line", "compose", "ours"), APART)
def test_what_they_read_in_two_ways_is(tmp_path: Path, line: str, compose: str | None, ours: str) -> None:
    assert written(tmp_path, f"\n# a comment\nA=b\n{line}") == ours != compose
    (doubt,) = doubts(tmp_path / ".env")
    assert str(doubt).startswith("V in line 4 ")
    assert not doubt.lost


@pytest.mark.parametrize("line", ["V=a${HOME}", 'V="${HOME}"'])
def test_so_is_a_variable_where_one_may_be_meant(tmp_path: Path, line: str) -> None:
    written(tmp_path, line)
    assert len(doubts(tmp_path / ".env")) == 1


@pytest.mark.parametrize("line", LOST)
def test_a_line_that_sets_nothing_is_reported(tmp_path: Path, line: str) -> None:
    assert written(tmp_path, f"A=b\n{line}") is None
    assert [(str(doubt)[:22], doubt.lost) for doubt in doubts(tmp_path / ".env")] == [("line 2 cannot be read,", True)]


@pytest.mark.parametrize(
    "line", ["V", "export V", "-V=canary", '{"V": "canary"}', "\ufeffV=canary", "my V=canary", "1V=canary"]
)
def test_so_is_a_line_without_a_name_or_a_value(tmp_path: Path, line: str) -> None:
    assert written(tmp_path, f"A=b\n{line}") is None
    told = [str(doubt) for doubt in doubts(tmp_path / ".env") if doubt.lost]
    assert [text.startswith("line 2 ") and "canary" not in text for text in told] == [True]


def test_a_line_that_cannot_be_read_is_told_once(tmp_path: Path) -> None:
    told = doctor(tmp_path, b"SMTP_PASSWORD='canary' word\n").stderr
    assert told.count("line 1") == 1


def written(folder: Path, text: str) -> str | None:
    (folder / ".env").write_text(f"{text}\n", "utf-8")
    return dotenv_values(folder / ".env").get("V")


def doctor(folder: Path, text: bytes) -> subprocess.CompletedProcess[str]:
    (folder / ".env").write_bytes(text)
    nowhere = {"RABBITMQ_URL": f"amqp://127.0.0.1:{free_port()}/", "MONGODB_URI": f"mongodb://127.0.0.1:{free_port()}"}
    return subprocess.run(
        [sys.executable, "-m", "notification_service", "doctor"],
        cwd=folder,
        env={"PATH": os.defpath, "COLUMNS": "1000", "REDIS_URL": f"redis://127.0.0.1:{free_port()}", **nowhere},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def first_check(folder: Path, text: str) -> CheckResult:
    """The doctor's first, which is about the file; those of the servers would wait for them."""
    (folder / ".env").write_text(text, "utf-8")
    async with contextlib.aclosing(examine(load())) as checks:
        return await anext(checks)


async def test_the_doctor_warns_without_a_word_of_the_value(here: Path) -> None:
    told = await first_check(here, "SMTP_PASSWORD=canary$word\nFROM_NAME='Kino $1'\n")
    assert (told.what, told.ok) == (".env", True)
    assert told.detail.startswith("can be read, but SMTP_PASSWORD in line 1 has $ without quotes")
    assert "canary" not in told.detail
    assert "FROM_NAME" not in told.detail


async def test_the_doctor_finds_a_line_that_sets_nothing(here: Path) -> None:
    told = await first_check(here, "SMTP_PASSWORD='canary' word\n")
    assert not told.ok
    assert told.detail.startswith("line 1 cannot be read")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_that_is_not_text_is_reported(tmp_path: Path) -> None:
    done = doctor(tmp_path, b"SMTP_PASSWORD=canary\xff\n")
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == "notification-service: .env cannot be read: invalid UTF-8 at byte 20\n"
