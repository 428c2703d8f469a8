"""Fixtures that every folder of tests may ask for. The stack is started when the first test asks for it."""

import asyncio
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import uvloop
from hypothesis import settings

from tests.fuzzing import examples
from tests.stack.local import LocalStack
from tests.stack.place import Place
from tests.stack.smtp import SmtpServer
from tests.stack.warm import Warm, warm_place

# Without a deadline for each example: a busy machine is slow, not wrong.
settings.register_profile("steady", max_examples=max(100, examples(100)), deadline=None)
settings.load_profile("steady")

# A shell starts what runs in the background with Ctrl-C ignored, and our children would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

_TIMED = ("faults", "integration", "e2e", "console")
_BROKEN_CALLBACK = "Exception in callback"
_VERDICT = r"\bI[1-4]: "


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits for other processes has a second try, which is counted in the closing line: machines get busy.

    What the judge found has none: a mail that was lost or doubled once is lost or doubled.
    """
    for item in items:
        if item.path.parent.name in _TIMED:
            item.add_marker(pytest.mark.flaky(reruns=1, rerun_except=_VERDICT))
        if _needs_a_server(item):
            item.add_marker(pytest.mark.process)


def _needs_a_server(item: pytest.Item) -> bool:
    """A contract test asks for the stack by the store that it is given, unless that is the one in memory."""
    fixtures = {*getattr(item, "fixturenames", ())}
    stores = {*map(str, item.callspec.params.values())} if hasattr(item, "callspec") else set()
    return bool(fixtures & {"stack", "own_smtp"} or stores & {"redis", "mongodb"})


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests run on the loop of the service."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    with Warm({}) as running:
        yield running


@pytest.fixture
def place(stack: LocalStack, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    """A clean place on the stack, with the SMTP server well behaved. Its services are forks, except in a cold test."""
    stack.smtp.clear()
    cold = request.node.get_closest_marker("cold")
    place = Place(stack, tmp_path) if cold else warm_place(stack, tmp_path, request.getfixturevalue("warm"))
    yield place
    place.close()
    assert not list(_broken_callbacks(tmp_path))


def _broken_callbacks(folder: Path) -> Iterator[str]:
    """What the event loop of a service could only log: nobody waits for the result of a callback."""
    for log in folder.rglob("service.log"):
        yield from (line for line in log.read_text("utf-8", "replace").splitlines() if _BROKEN_CALLBACK in line)


@pytest.fixture(autouse=True)
def _no_broken_callback(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert not [each for each in caplog.get_records("call") if _BROKEN_CALLBACK in each.getMessage()]


@pytest.fixture
def own_smtp(tmp_path: Path) -> Iterator[SmtpServer]:
    """An SMTP server that a test may stop, kill and count alone; it is not started yet."""
    server = SmtpServer(tmp_path / "smtp")
    yield server
    server.stop()
