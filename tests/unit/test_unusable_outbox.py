"""A folder for mail that cannot be used is said at once, by whoever needs it."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.stack.local import LocalStack
from tests.stack.processes import free_port
from tests.stack.warm import Warm

pytestmark = pytest.mark.process

PATIENCE = 60
Ended = Callable[..., subprocess.CompletedProcess[str]]
AS_ANYBODY = () if os.geteuid() else ("setpriv", "--inh-caps=-all", "--bounding-set=-all")
"""Rights on files hold back nobody who is root and has its capabilities."""
NAMESPACE = ("unshare", "--mount", *(("--user", "--map-root-user") if os.geteuid() else ()))
LIVE = {"SMTP_SERVER": "mail.cinema.example", "FROM_EMAIL": "tickets@cinema.example"}


def a_file(folder: Path) -> Path:
    path = folder / "outbox"
    path.write_text("taken")
    return path


def below_a_file(folder: Path) -> Path:
    return a_file(folder) / "outbox"


def a_dangling_link(folder: Path) -> Path:
    path = folder / "outbox"
    path.symlink_to(folder / "gone" / "outbox")
    return path


def a_loop(folder: Path) -> Path:
    path = folder / "outbox"
    path.symlink_to(path)
    return path


def no_folder_at_all(_: Path) -> Path:
    return Path("/proc/no-such-folder/outbox")


def read_only(folder: Path) -> Path:
    (folder / "outbox").mkdir(mode=0o555)
    return folder / "outbox"


def not_searchable(folder: Path) -> Path:
    (folder / "outbox").mkdir(mode=0o666)
    return folder / "outbox"


def within_what_is_read_only(folder: Path) -> Path:
    return read_only(folder) / "outbox"


UNUSABLE: list[Callable[[Path], Path]] = [
    a_file,
    below_a_file,
    a_dangling_link,
    a_loop,
    no_folder_at_all,
    read_only,
    not_searchable,
    within_what_is_read_only,
]


@pytest.fixture(scope="module")
def anybody() -> Iterator[Warm]:
    with Warm({}, AS_ANYBODY) as running:
        yield running


@pytest.fixture
def ended(anybody: Warm, tmp_path: Path) -> Ended:
    """Runs a command to its end; it is a fork: how it was started is not the subject."""

    def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return anybody.run(arguments, environment(tmp_path, **settings), tmp_path)

    return run


def environment(folder: Path, **settings: str) -> dict[str, str]:
    nowhere = {
        "STARTUP_TIMEOUT": "0.1",
        "HTTP_HOST": "127.0.0.1",
        "PORT": str(free_port()),
        "RABBITMQ_URL": f"amqp://127.0.0.1:{free_port()}/",
        "MONGODB_URI": f"mongodb://127.0.0.1:{free_port()}",
    }
    return {"PATH": "/usr/bin:/bin", "HOME": str(folder), **nowhere, **settings}


def ended_with(room: int, folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """`room`: the bytes that a file may have at most, as on a disk with so much left (EFBIG in place of ENOSPC)."""
    return subprocess.run(
        ["prlimit", f"--fsize={room}", sys.executable, "-m", "notification_service", *arguments],
        cwd=folder,
        env=environment(folder, **settings),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def assert_told(done: subprocess.CompletedProcess[str], named: str, outbox: Path) -> None:
    assert done.returncode == 78, done.stdout + done.stderr
    assert done.stderr.startswith(f"notification-service: {named}={outbox} cannot be written to: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("kind", UNUSABLE)
def test_the_demo_says_at_once_that_its_outbox_cannot_be_used(
    tmp_path: Path, ended: Ended, kind: Callable[[Path], Path]
) -> None:
    outbox = kind(tmp_path)
    assert_told(ended("demo", "--outbox", str(outbox)), "--outbox", outbox)


@pytest.mark.parametrize("room", [0, 65535])
def test_so_it_does_where_the_disk_is_full(tmp_path: Path, room: int) -> None:
    done = ended_with(room, tmp_path, "demo")
    assert_told(done, "--outbox", Path("outbox"))
    assert os.strerror(errno.EFBIG) in done.stderr
    assert not list((tmp_path / "outbox").iterdir())


def test_so_it_does_where_the_disk_fills_up_meanwhile(tmp_path: Path) -> None:
    """A disk of its own with room for four files and folders: one at a time, but not five mails."""
    (tmp_path / "disk").mkdir()
    script = 'mount -t tmpfs -o nr_inodes=4 tmpfs disk && exec "$@"'
    command = [*NAMESPACE, "sh", "-c", script, "sh", sys.executable, "-m", "notification_service"]
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine gives no namespace of mounts")
    done = subprocess.run(
        [*command, "demo", "--outbox", "disk/outbox"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert_told(done, "--outbox", Path("disk/outbox"))
    assert os.strerror(errno.ENOSPC) in done.stderr


@pytest.mark.parametrize(
    ("kind", "mode"),
    [(a_file, {}), (no_folder_at_all, {}), (read_only, {}), (a_dangling_link, LIVE), (read_only, LIVE)],
)
def test_the_service_does_not_start_with_it(
    tmp_path: Path, ended: Ended, kind: Callable[[Path], Path], mode: dict[str, str]
) -> None:
    outbox = kind(tmp_path)
    assert_told(ended("run", OUTBOX_DIR=str(outbox), **mode), "OUTBOX_DIR", outbox)


def test_a_full_disk_keeps_simulated_mail_from_being_kept_and_real_mail_from_nothing(
    tmp_path: Path, stack: LocalStack
) -> None:
    assert_told(ended_with(0, tmp_path, "run"), "OUTBOX_DIR", Path("outbox"))
    live = ended_with(0, tmp_path, "run", **LIVE, MONGODB_URI=stack.mongodb_uri)
    assert live.returncode == 69
    assert "outbox.failed" in live.stdout


@pytest.mark.parametrize("kind", [a_dangling_link, read_only])
def test_the_doctor_says_so_too_and_makes_nothing(
    tmp_path: Path, ended: Ended, stack: LocalStack, kind: Callable[[Path], Path]
) -> None:
    outbox = kind(tmp_path)
    done = ended("doctor", OUTBOX_DIR=str(outbox), COLUMNS="1000", MONGODB_URI=stack.mongodb_uri)
    assert f"WRONG outbox: OUTBOX_DIR={outbox} cannot be written to: " in done.stdout


def test_the_doctor_makes_no_folder(tmp_path: Path, ended: Ended, stack: LocalStack) -> None:
    done = ended("doctor", OUTBOX_DIR="new/outbox", MONGODB_URI=stack.mongodb_uri)
    assert "ok    outbox: new/outbox can be written to" in done.stdout
    assert not (tmp_path / "new").exists()
