"""A process whose time is virtual and whose every step waits until it is let through: an event loop of our own."""

import asyncio
import heapq
import itertools
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


class Clock:
    """Seconds that pass only when the model says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """`time.monotonic` tells this time: the package asks it there whether its leases still stand."""
        real = time.monotonic
        time.monotonic = self
        try:
            yield
        finally:
            time.monotonic = real


class GoneError(BaseException):
    """The process is dead: nothing that it still tries has an effect. No `except Exception` may keep it alive."""


@dataclass(frozen=True, slots=True)
class Gate:
    """A step that waits to be let through."""

    name: str
    passed: asyncio.Future[None]


class Process(asyncio.AbstractEventLoop):
    """Its callbacks run when `run_ready` is called, until only gates and timers are left. Killed, it is silent."""

    def __init__(self, clock: Clock) -> None:
        self.dead = False
        self._problems: list[str] = []
        self._clock = clock
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._order = itertools.count()
        self._tasks: list[asyncio.Task[Any]] = []
        self._gates: list[Gate] = []

    # ── what the model does with it ──────────────────────────────────────────────────────────────────
    @property
    def problems(self) -> list[str]:
        """What went wrong in a callback, and the exception of every task: the service has a rule for each fault."""
        ended = [task for task in self._tasks if task.done() and not task.cancelled()]
        return self._problems + [repr(problem) for task in ended if (problem := task.exception())]

    @property
    def gates(self) -> list[Gate]:
        """The steps that wait, the oldest first."""
        self._gates = [gate for gate in self._gates if not gate.passed.done()]
        return self._gates

    @property
    def next_timer(self) -> float | None:
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    async def gate(self, name: str) -> None:
        if self.dead:
            raise GoneError
        gate = Gate(name, self.create_future())
        self._gates.append(gate)
        await gate.passed
        if self.dead:
            raise GoneError

    def let_through(self, gate: Gate) -> None:
        gate.passed.set_result(None)
        self.run_ready()

    def run_ready(self) -> None:
        if not self._ready and not self._wake():
            return
        with self._in_charge():
            while self._ready or self._wake():
                handle = self._ready.popleft()
                if not handle.cancelled():
                    handle._run()

    def kill(self) -> None:
        """As SIGKILL does: no clean-up of the program's reaches the world."""
        self.dead = True
        self._ready.clear()
        self._timers.clear()
        with self._in_charge():
            for task in self._tasks:
                coroutine = task.get_coro()
                if not task.done() and isinstance(coroutine, Coroutine):
                    # Ended here, so that the garbage collector does not do it in the middle of another run; thrown
                    # in, since `close` leaves an async generator alone that has not come to its first yield.
                    with suppress(GoneError, RuntimeError, StopIteration):
                        coroutine.throw(GoneError())
                        coroutine.close()
        self._gates.clear()

    @contextmanager
    def _in_charge(self) -> Iterator[None]:
        with self._clock.in_force():
            asyncio._set_running_loop(self)
            try:
                yield
            finally:
                asyncio._set_running_loop(None)

    def _wake(self) -> bool:
        while (when := self.next_timer) is not None and when <= self._clock.now:
            self._ready.append(heapq.heappop(self._timers)[2])
        return bool(self._ready)

    # ── what asyncio asks of an event loop ───────────────────────────────────────────────────────────
    def time(self) -> float:
        return self._clock.now

    def call_soon(  # type: ignore[override]  # what the callback is given is nothing to us
        self,
        callback: Callable[..., object],
        *args: Any,  # noqa: ANN401 - passed on as they are
        context: Context | None = None,
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        if not self.dead:
            self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]  # what the callback is given is nothing to us
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,  # noqa: ANN401 - passed on as they are
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._clock.now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]  # what the callback is given is nothing to us
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,  # noqa: ANN401 - passed on as they are
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._order), handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]  # the package has no task of a generator
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[T]:
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.dead:
            self._problems.append(f"{context.get('message')}: {context.get('exception')!r}")

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self.dead

    def is_closed(self) -> bool:
        return self.dead

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is passed over when its time has come."""
