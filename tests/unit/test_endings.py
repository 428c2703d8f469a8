"""How the process ends, by the entry point that is shipped: signals, and output that nobody takes."""

import errno
import fcntl
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from notification_service.observability.streams import LogOutput
from tests.stack.local import LocalStack
from tests.stack.place import until
from tests.stack.processes import free_port

pytestmark = pytest.mark.process

ENTRY = (sys.executable, "-m", "notification_service")
PATIENCE = 60.0


@pytest.fixture
def mongodb(stack: LocalStack) -> dict[str, str]:
    """The setting of one that answers. Without, each end waits for the driver, which gives up after 5 s."""
    return {"MONGODB_URI": stack.mongodb_uri}


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """None of ours, and none of Python's that hides what a buffer does; `PYTHONPATH` as the test sets it."""
    nowhere = {"RABBITMQ_URL": f"amqp://127.0.0.1:{free_port()}/", "MONGODB_URI": f"mongodb://127.0.0.1:{free_port()}"}
    return {"PATH": "/usr/bin:/bin", "HTTP_HOST": "127.0.0.1", "HOME": str(folder), **nowhere, **settings}


def ended(*arguments: str, folder: Path, **options: object) -> subprocess.CompletedProcess[str]:
    where = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment(folder), **options}
    return subprocess.run([*ENTRY, *arguments], cwd=folder, text=True, timeout=PATIENCE, check=False, **where)  # type: ignore[call-overload,no-any-return]  # what to do with each stream


# ── paths and addresses that cannot be used ──────────────────────────────────────────────────────────
@pytest.mark.parametrize("path", ["/dev/null/out", "/proc/out"])
def test_a_folder_that_cannot_be_written_to_is_named_without_a_traceback(tmp_path: Path, path: str) -> None:
    done = ended("preview", path, folder=tmp_path)
    assert done.returncode == 78
    assert done.stderr.startswith(f"notification-service: {path} cannot be used: ")
    assert len(done.stderr.splitlines()) == 1


def test_an_address_that_cannot_be_listened_on_is_named_with_both_settings(
    tmp_path: Path, mongodb: dict[str, str]
) -> None:
    done = ended("run", folder=tmp_path, env=environment(tmp_path, **mongodb, HTTP_HOST="203.0.113.9"))
    assert done.returncode == 78
    assert done.stderr.startswith("notification-service: HTTP_HOST, PORT: cannot listen on 203.0.113.9:")


# ── output that nobody takes ─────────────────────────────────────────────────────────────────────────
@contextmanager
def full_disk() -> Iterator[int]:
    with Path("/dev/full").open("wb") as stream:
        yield stream.fileno()


@contextmanager
def reader_gone() -> Iterator[int]:
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@contextmanager
def reader_asleep() -> Iterator[int]:
    """A pipe that is full: whoever writes to it waits for ever."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    yield writer
    os.close(writer)
    os.close(reader)


@pytest.mark.parametrize(
    ("stream", "output", "unbuffered"),
    [
        *itertools.product(["stdout"], [full_disk, reader_gone, reader_asleep], [""]),
        ("stdout", full_disk, "1"),
        ("stdout", reader_asleep, "1"),
        ("stderr", full_disk, ""),
        ("stderr", reader_asleep, ""),
    ],
)
def test_a_service_that_nobody_hears_ends_with_0(
    tmp_path: Path, mongodb: dict[str, str], stream: str, output: object, unbuffered: str
) -> None:
    port = free_port()
    with output() as descriptor:  # type: ignore[operator]  # one of the three above
        streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: descriptor}
        process = subprocess.Popen(
            [*ENTRY, "run"],
            env=environment(tmp_path, PORT=str(port), PYTHONUNBUFFERED=unbuffered, LOG_LEVEL="DEBUG", **mongodb),
            cwd=tmp_path,
            **streams,
        )
        try:
            until(lambda: alive(port), timeout=PATIENCE)
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
            process.wait()


def alive(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


COMMANDS = [("version",), ("schema", "record"), ("--help",), ("demo",), ("parked", "--help")]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_command_that_cannot_say_what_it_has_to_ends_with_74_and_one_line(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    with full_disk() as descriptor:
        done = ended(*arguments, folder=tmp_path, stdout=descriptor)
    assert done.returncode == 74
    told = "notification-service: standard output cannot be written: No space left on device; the rest of the output is"
    assert done.stderr == f"{told} lost\n"


@pytest.mark.parametrize("arguments", [("version",), ("demo",), ("parked", "--help")], ids=" ".join)
def test_a_command_whose_reader_has_seen_enough_ends_without_a_word(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with reader_gone() as descriptor:
        done = ended(*arguments, folder=tmp_path, stdout=descriptor)
    assert (done.returncode, done.stderr) == (74, "")


@pytest.mark.parametrize("output", [full_disk, reader_gone])
def test_an_exit_code_is_right_though_nobody_reads_why(tmp_path: Path, output: object) -> None:
    with output() as descriptor:  # type: ignore[operator]  # one of those above
        done = ended("run", folder=tmp_path, stderr=descriptor, env=environment(tmp_path, PORT="many"))
    assert done.returncode == 78


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_fault(tmp_path: Path, mongodb: dict[str, str], closed: str) -> None:
    """Neither of a command nor of the service, whose first socket must not take the number of its log."""
    for arguments, code in (("version", 0), ("run", 69)):
        shell = ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", *ENTRY, arguments]
        settings = environment(tmp_path, STARTUP_TIMEOUT="0.1", PORT=str(free_port()), **mongodb)
        done = subprocess.run(shell, cwd=tmp_path, env=settings, capture_output=True, timeout=PATIENCE, check=False)
        assert done.returncode == code, done.stderr


# ── the log of a slow reader ─────────────────────────────────────────────────────────────────────────
@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 8192)
    os.set_blocking(reader, False)
    yield reader, writer
    for descriptor in (reader, writer):
        try:
            os.close(descriptor)
        except OSError as problem:
            assert problem.errno == errno.EBADF  # noqa: PT017 - a test closes what it wants to be closed


def read(reader: int) -> bytes:
    try:
        return os.read(reader, 1 << 24)
    except BlockingIOError:
        return b""


def test_what_waits_for_a_slow_reader_comes_whole_and_in_order(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    output, heard = LogOutput(writer), b""
    lines = [f"{number} {'x' * (number * 37 % 9000)}\n" for number in range(60)]
    for line in lines:
        output.write(line)
    while heard.count(b"\n") < len(lines):
        heard += read(reader)
        output.write("")
    assert heard.decode() == "".join(lines)


def test_what_is_too_much_is_dropped_by_whole_lines_and_counted(pipe: tuple[int, int], tmp_path: Path) -> None:
    reader, writer = pipe
    script = textwrap.dedent("""
        import structlog
        from notification_service.observability import logging
        from notification_service.observability.streams import LogOutput
        output = LogOutput(1)
        logging.configure(stream=output)
        for number in range(300):
            structlog.get_logger("test").info("line", number=number, text="x" * 10000)
        open("full", "w").close()
        while output.waiting:
            output.finish()
    """)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=writer, cwd=tmp_path)
    os.close(writer)
    until((tmp_path / "full").exists, timeout=PATIENCE)
    os.set_blocking(reader, True)
    heard = b"".join(iter(lambda: os.read(reader, 1 << 20), b""))
    assert process.wait(PATIENCE) == 0
    told = [json.loads(line) for line in heard.splitlines()]
    numbers = [line["number"] for line in told if line["event"] == "line"]
    (dropped,) = [line["lines"] for line in told if line["event"] == "log.dropped"]
    assert numbers == list(range(len(numbers)))
    assert (len(numbers) < 300, len(numbers) + dropped) == (True, 300)


def test_a_line_that_was_cut_does_not_spoil_the_next(tmp_path: Path) -> None:
    """A disk that was full and has room again."""
    script = textwrap.dedent("""
        import resource, sys
        from notification_service.observability.streams import LogOutput
        output = LogOutput(1)
        resource.setrlimit(resource.RLIMIT_FSIZE, (25, resource.RLIM_INFINITY))
        for line in ("first line of 21 char\\n", "second line\\n", "third line\\n"):
            output.write(line)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        output.write("fourth line\\n")
    """)
    with (tmp_path / "log").open("wb") as log:
        subprocess.run([sys.executable, "-c", script], stdout=log, check=True, timeout=PATIENCE)
    assert (tmp_path / "log").read_text() == "first line of 21 char\nsec\nfourth line\n"


# ── signals before anything is imported ──────────────────────────────────────────────────────────────
AT_IMPORT = """
import os, signal, sys

class Signalled:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), {number})

sys.meta_path.insert(0, Signalled())
"""
"""Sends the process a signal when it begins to import a module: no clock decides where it is met."""

MODULES = ["notification_service.cli.main", "typer", "pydantic", "aio_pika", "jinja2", "notification_service.console"]
AS_FIRST = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child")


def signalled(folder: Path, module: str, number: int, *command: str) -> subprocess.CompletedProcess[str]:
    (folder / "sitecustomize.py").write_text(AT_IMPORT.format(module=module, number=int(number)))
    settings = environment(folder, PYTHONPATH=str(folder), STARTUP_TIMEOUT="0.1", PORT=str(free_port()))
    return subprocess.run(
        command, cwd=folder, env=settings, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


@pytest.fixture(scope="module")
def as_first() -> tuple[str, ...]:
    """What makes a command process 1 of a namespace of its own, as in a container without an init."""
    tried = AS_FIRST if os.geteuid() else tuple(word for word in AS_FIRST if "user" not in word)
    if subprocess.run([*tried, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine gives no namespace of processes")
    return tried


@pytest.mark.parametrize(
    ("module", "number"),
    [*((module, signal.SIGTERM) for module in MODULES), (MODULES[0], signal.SIGINT), (MODULES[-1], signal.SIGINT)],
)
def test_process_1_hears_a_signal_while_it_imports(
    tmp_path: Path, as_first: tuple[str, ...], module: str, number: signal.Signals
) -> None:
    done = signalled(tmp_path, module, number, *as_first, *ENTRY, "run")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_command_that_was_ended_before_it_began_has_not_succeeded(
    tmp_path: Path, as_first: tuple[str, ...], number: signal.Signals
) -> None:
    done = signalled(tmp_path, "typer", number, *as_first, *ENTRY, "version")
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", "")


@pytest.mark.parametrize("after", [0.0, 0.05, 0.2, 0.8, 1.6])
def test_process_1_ends_with_0_whenever_it_is_told_to(
    tmp_path: Path, as_first: tuple[str, ...], mongodb: dict[str, str], after: float
) -> None:
    """From the moment at which the kernel knows the handler, wherever in its start or its work the process is."""
    settings = environment(tmp_path, PORT=str(free_port()), **mongodb)
    with subprocess.Popen([*as_first, *ENTRY, "run"], cwd=tmp_path, env=settings, stdout=subprocess.DEVNULL) as process:
        first = until(lambda: child_of(process.pid), timeout=PATIENCE)
        until(lambda: hears(first, signal.SIGTERM), timeout=PATIENCE)
        time.sleep(after)
        os.kill(first, signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_a_signal_that_was_held_back_while_the_interpreter_started_is_heard(tmp_path: Path) -> None:
    """As `env --block-signal=TERM` holds it back: sent before Python has read a line of ours."""
    held = ("env", "--block-signal=TERM,INT", "sh", "-c", 'kill -s TERM $$; exec "$@"', "sh")
    done = subprocess.run(
        [*held, *ENTRY, "run"],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def child_of(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else 0


def hears(pid: int, number: signal.Signals) -> bool:
    caught = re.search(r"^SigCgt:\s*(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return bool(caught and int(caught[1], 16) >> (number - 1) & 1)
