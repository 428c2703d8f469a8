"""The outbox: files are written atomically, one for each notification."""

import asyncio
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from notification_service.channels.outbox import FileOutbox
from tests.unit.fakes import envelope, files

ROOT = Path(__file__).parents[2]


FULL_DISK = """
import asyncio, resource, sys
from dataclasses import replace
from pathlib import Path
from notification_service.channels.outbox import FileOutbox
from tests.unit.fakes import envelope
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    asyncio.run(FileOutbox(Path(sys.argv[1])).keep(replace(envelope(), content=b"x" * 1000)))
except OSError as problem:
    print(problem.strerror, end="")
"""
"""In a process of its own: a limit on files holds for the test runner's own output too."""


def keep_on_a_full_disk(folder: Path) -> str:
    """What a mail of 1,000 bytes meets where no file may grow beyond 100: Python reports it as it does a full disk."""
    command = [sys.executable, "-c", FULL_DISK, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, cwd=ROOT).stdout


async def test_a_mail_is_one_file_with_its_bytes(tmp_path: Path) -> None:
    path = await FileOutbox(tmp_path / "a" / "b").keep(envelope("n1"))
    assert path == str(tmp_path / "a" / "b" / "booking_confirmation-n1.eml")
    assert files(tmp_path / "a" / "b") == {path: envelope().content}


async def test_kept_again_it_is_the_same_file(tmp_path: Path) -> None:
    outbox = FileOutbox(tmp_path)
    first = await outbox.keep(envelope())
    second = await outbox.keep(replace(envelope(), content=b"later"))
    assert first == second
    assert files(tmp_path) == {first: b"later"}


async def test_many_at_once_are_as_many_files_and_nothing_else(tmp_path: Path) -> None:
    outbox = FileOutbox(tmp_path)
    paths = await asyncio.gather(*(outbox.keep(envelope(f"n{number}")) for number in range(50)))
    assert sorted(paths) == sorted(files(tmp_path))


async def test_a_write_that_fails_leaves_the_mail_as_it_was(tmp_path: Path) -> None:
    path = await FileOutbox(tmp_path).keep(envelope())
    assert keep_on_a_full_disk(tmp_path) == "File too large"
    assert files(tmp_path)[path] == envelope().content


def test_a_write_that_fails_leaves_no_half_mail(tmp_path: Path) -> None:
    assert keep_on_a_full_disk(tmp_path) == "File too large"
    assert not [path for path in files(tmp_path) if path.endswith(".eml")]


async def test_a_folder_that_cannot_be_one_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OSError, match="exists"):
        await FileOutbox(tmp_path / "taken").keep(envelope())


def kept(folder: Path) -> Path:
    return Path(asyncio.run(FileOutbox(folder).keep(envelope("n1"))))


def modes(*paths: Path) -> list[str]:
    return [oct(each.stat().st_mode)[-3:] for each in paths]


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o777])
def test_nobody_else_can_read_a_mail_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        path = kept(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert modes(path, path.parent, path.parent.parent) == ["600", "700", "700"]


def test_a_mail_that_is_kept_again_is_closed_to_others_and_the_folder_of_an_operator_stays_as_it_is(
    tmp_path: Path,
) -> None:
    tmp_path.chmod(0o755)
    kept(tmp_path).chmod(0o644)
    assert modes(kept(tmp_path), tmp_path) == ["600", "755"]


def test_no_file_that_others_laid_there_is_followed(tmp_path: Path) -> None:
    """A link of the mail's own name is replaced, and what it leads to is not written."""
    (tmp_path / "theirs").write_bytes(b"theirs")
    (tmp_path / "booking_confirmation-n1.eml").symlink_to(tmp_path / "theirs")
    path = kept(tmp_path)
    assert (path.is_symlink(), path.read_bytes()) == (False, envelope().content)
    assert (tmp_path / "theirs").read_bytes() == b"theirs"
