"""One place that is filled once for the tests of a worker, and the console in it: in this process and as a service."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from starlette.applications import Starlette

from notification_service.console import app as console_app, queries
from notification_service.console.auth import Access
from notification_service.console.public_address import PublicAddress
from notification_service.console.queries import ConsoleQueries
from notification_service.delivery.ports.sessions import Sessions
from notification_service.settings import Network, Settings, load
from notification_service.stores.memory.sessions import MemorySessions
from tests.console import scene
from tests.stack.local import LocalStack
from tests.stack.place import Place

ORIGIN = "https://console.example"


@pytest.fixture(scope="session")
def full_place(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, int]]:
    """The place, and the port of the console in it."""
    place = Place(stack, tmp_path_factory.mktemp("console"))
    with place.service(**scene.SETTINGS) as service:
        scene.fill(place)
        scene.age(place, hours=48, most=8)
        scene.readers(place)
        yield place, service.console_port
    stack.smtp.clear()
    place.close()


@pytest.fixture(scope="session")
def seen(full_place: tuple[Place, int]) -> Place:
    return full_place[0]


@pytest.fixture(scope="session")
def settings(seen: Place) -> Settings:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in seen.environment(**scene.SETTINGS).items():
            patch.setenv(name, value)
        return load(env_file=None)


@pytest.fixture(scope="session")
async def behind(settings: Settings) -> AsyncIterator[ConsoleQueries]:
    async with queries.opened(settings) as opened:
        yield opened


def console(
    behind: ConsoleQueries, sessions: Sessions | None = None, url: str | None = None, *proxies: Network
) -> Starlette:
    return console_app.application(
        behind, Access(scene.TOKEN, sessions or MemorySessions()), PublicAddress(url), proxies
    )


@pytest.fixture
def app(behind: ConsoleQueries) -> Starlette:
    """A console of its own, so that no test waits for another's failed logins."""
    return console(behind)


@pytest.fixture
async def stranger(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that has not signed in."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN) as client:
        yield client


@pytest.fixture
async def operator(stranger: httpx.AsyncClient) -> httpx.AsyncClient:
    """The same, signed in."""
    answer = await stranger.post("/console/login", data={"token": scene.TOKEN})
    assert answer.status_code == 303
    return stranger
