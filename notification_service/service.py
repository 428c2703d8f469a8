"""The life of the service: start, consume, drain, stop; and its health."""

import asyncio
import gc
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial

import structlog
import uvloop

from notification_service.bootstrap import ChannelParts
from notification_service.bootstrap.assembly import Parts, connected
from notification_service.broker.connection import Handlers
from notification_service.channels.admission import State
from notification_service.foundation.errors import ConfigurationError, DependencyError, StoreUnavailableError
from notification_service.foundation.secret_redaction import Secrecy
from notification_service.observability import health, serving
from notification_service.observability.health import Part, Readiness
from notification_service.settings import Settings

log = structlog.get_logger(__name__)

_INDEX_RETRY_INTERVAL_S = 30.0
_MAX_LISTED_DOMAINS = 5
_SIGNALS_GRACE_S = 3.0
_OBJECTS_BETWEEN_COLLECTIONS = 20_000

CompanionServer = Callable[[Settings], AbstractAsyncContextManager[None]]
"""A server that runs as long as the service does, such as the console."""


class Service:
    """Runs the connected parts."""

    def __init__(self, settings: Settings, parts: Parts) -> None:
        self.settings = settings
        self.parts = parts
        self._secrecy = Secrecy(settings.secrets())

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop` is set, then drain. Raises `DependencyError` if MongoDB or RabbitMQ is unavailable."""
        async with asyncio.TaskGroup() as group:
            renewing = group.create_task(self.parts.leases.renew_forever())
            await self._prepare_ledger(stop)
            testing = await self._start_experiment(group)
            maintaining = group.create_task(self._maintain_records())
            consuming = group.create_task(self.parts.link.run(self._handlers()))
            hearing = group.create_task(self.parts.signals.consumer.run()) if self.parts.signals else None
            try:
                await self._wait_for_broker(stop)
                recalling = group.create_task(self.parts.recaller.forever())
                await stop.wait()
                recalling.cancel()
            finally:
                await self._drain()
                consuming.cancel()
                if hearing:
                    hearing.cancel()
                maintaining.cancel()
                if testing:
                    testing.cancel()
                renewing.cancel()

    async def _start_experiment(self, group: asyncio.TaskGroup) -> asyncio.Task[None] | None:
        """Raises `ConfigurationError` if its salt was used for another test."""
        if self.parts.experiment is None:
            return None
        await self.parts.experiment.start()
        return group.create_task(self.parts.experiment.watch_forever())

    async def _maintain_records(self) -> None:
        """Create the indexes, which takes long on a large collection, then sweep old records for ever."""
        while True:
            try:
                await self.parts.ledger.index()
                if self.parts.suppressions:
                    await self.parts.suppressions.index()
                if self.parts.signals:
                    await self.parts.signals.store.index()
            except StoreUnavailableError as problem:
                log.warning("ledger.not_created", what="indexes", problem=str(problem))
            else:
                break
            await asyncio.sleep(_INDEX_RETRY_INTERVAL_S)
        await self.parts.sweeper.forever()

    async def _prepare_ledger(self, stop: asyncio.Event) -> None:
        deadline = time.monotonic() + self.settings.service.startup_timeout
        while not stop.is_set():
            try:
                await self.parts.ledger.prepare()
            except StoreUnavailableError as problem:
                log.warning("service.waiting", waits_for="MongoDB", setting="MONGODB_URI", problem=str(problem))
                if time.monotonic() > deadline:
                    raise DependencyError(f"MongoDB never came up (MONGODB_URI): {problem}") from problem
            else:
                return
            await _wait_at_most(stop.wait(), seconds=1)

    async def _wait_for_broker(self, stop: asyncio.Event) -> None:
        link = self.parts.link
        deadline = time.monotonic() + self.settings.service.startup_timeout
        while not link.consuming and not stop.is_set():
            # Only a person can change a queue that exists with other arguments: waiting is better than a crash loop.
            if time.monotonic() > deadline and not link.mismatched:
                raise DependencyError(f"RabbitMQ never came up (RABBITMQ_URL): {link.problem}")
            await _wait_at_most(stop.wait(), seconds=0.02)
        if link.consuming:
            log.info("service.ready", mode=self.mode)

    def _handlers(self) -> Handlers:
        return {each.kind: each.consumer.on_message for each in self.parts.channels}

    async def _drain(self) -> None:
        grace = self.settings.service.shutdown_grace
        under_way = sum(each.consumer.under_way for each in self.parts.channels)
        log.info("service.draining", under_way=under_way, grace_s=grace)
        await self.parts.link.stop_consuming()
        if self.parts.signals:
            await self.parts.signals.consumer.stop(_SIGNALS_GRACE_S)
        unfinished = await asyncio.gather(
            *(each.consumer.drain(grace, each.cancel_waiting) for each in self.parts.channels)
        )
        log.info("service.drained", unfinished=sum(unfinished))

    @property
    def mode(self) -> str:
        return "live" if self.settings.live else "simulated"

    async def examine(self) -> Readiness:
        """The state of each part, for the health page."""
        link, email = self.parts.link, self.parts.email
        redis, mongodb = await asyncio.gather(
            _problem_of(self.parts.claims.ping()), _problem_of(self.parts.ledger.ping())
        )
        held = email.held
        parts = {
            "rabbitmq": Part(
                "consuming" if link.consuming else "not consuming", ok=link.consuming, needed=True, detail=link.problem
            ),
            "mongodb": Part("up" if mongodb is None else "down", ok=mongodb is None, needed=True, detail=mongodb),
            "redis": Part("up" if redis is None else "down", ok=redis is None, needed=False, detail=redis),
            **{
                breaker.name: Part(
                    breaker.state,
                    # Of a fallback, no mail may come for long that could close its breaker.
                    ok=breaker.state is State.CLOSED or (breaker is not each.breaker and breaker.takes_mail),
                    needed=False,
                    detail=breaker.reason,
                )
                for each in self.parts.channels
                for breaker in each.breakers
            },
        }
        if held:
            # The service is not degraded by one domain that refuses it.
            parts["domains"] = Part(f"{len(held)} held", ok=True, needed=False, detail=_describe(held))
        # The text of a library or a server may repeat a secret that it was given.
        hide = self._secrecy.text
        redacted = {name: replace(part, detail=part.detail and hide(part.detail)) for name, part in parts.items()}
        return Readiness(mode=self.mode, parts=redacted)


def _describe(held: Mapping[str, datetime]) -> str:
    texts = [f"{domain} refuses us since {since:%Y-%m-%d %H:%M} UTC" for domain, since in held.items()]
    more = len(texts) - _MAX_LISTED_DOMAINS
    return "; ".join((*texts[:_MAX_LISTED_DOMAINS], *([f"and {more} more"] if more > 0 else [])))


async def _problem_of(ping: Awaitable[None]) -> str | None:
    try:
        await ping
    except StoreUnavailableError as problem:
        return str(problem)
    return None


async def _wait_at_most(waited: Awaitable[object], *, seconds: float) -> None:
    try:
        await asyncio.wait_for(asyncio.ensure_future(waited), seconds)
    except TimeoutError:
        return


@asynccontextmanager
async def opened(settings: Settings, others: Sequence[ChannelParts] = ()) -> AsyncIterator[Service]:
    """The service with its parts connected, closed at the end of the block. `others`: the channels beside e-mail."""
    async with connected(settings, others) as parts:
        yield Service(settings, parts)


def serve(settings: Settings, companion: CompanionServer, others: Sequence[ChannelParts] = ()) -> None:
    """`run` on an event loop of its own. Raises `ConfigurationError`."""
    # What is loaded by now stays, and an event makes hardly any cycles: to look for them takes 2 % of its CPU.
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(settings, companion, others))


async def run(settings: Settings, companion: CompanionServer, others: Sequence[ChannelParts] = ()) -> None:
    """Run the process until SIGTERM or SIGINT; a second signal ends it at once. Raises `ConfigurationError`."""
    stop = stop_on_signals()
    async with opened(settings, others) as service, companion(settings):
        app = health.application(service.examine, service.parts.metrics.page)
        try:
            async with serving.serving(app, settings.service.http_host, settings.service.port):
                await service.run(stop)
        except OSError as problem:
            where = f"{settings.service.http_host}:{settings.service.port}"
            raise ConfigurationError(f"HTTP_HOST, PORT: cannot listen on {where}: {problem}") from problem


def stop_on_signals() -> asyncio.Event:
    """Set by SIGTERM or SIGINT; a second signal ends the process at once."""
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, partial(_on_signal, stop))
    return stop


def _on_signal(stop: asyncio.Event) -> None:
    if stop.is_set():
        os._exit(1)
    stop.set()
