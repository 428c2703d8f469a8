"""Combines calls that are made at the same time into one."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


_MANY_QUESTIONS = 8
_MAX_TURN_WAIT_S = 0.1


class CallTurns:
    """Lets the calls of several batchers to one server run one after the other, while many questions are open.

    They are then fewer and larger, and cost both sides less for each question. A call begins beside the others where no
    more than `many` questions are open, since it would only wait, and after `max_wait_s`, since one may hang.
    """

    def __init__(self, many: int = _MANY_QUESTIONS, max_wait_s: float = _MAX_TURN_WAIT_S) -> None:
        self.open_questions = 0
        self._many = many
        self._max_wait_s = max_wait_s
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, where there are turns, and keep it for the block."""
        taken = self.open_questions > self._many and await self._take()
        try:
            yield
        finally:
            if taken:
                self._lock.release()

    async def _take(self) -> bool:
        try:
            async with asyncio.timeout(self._max_wait_s):
                return await self._lock.acquire()
        except TimeoutError:
            return False


class Batcher(Generic[Q, A]):
    """Collects questions while a call is running, and sends them with the next call, without waiting for a full batch.

    `answer` gets at most `max_size` questions, and returns an answer for each. An exception among the answers is raised
    for that question alone. An exception that `answer` raises is raised for every caller that waits at that moment,
    those of the next batch included: their call would time out at the same server. `turns`: shared with others.

    `linger_s`: how long a call that is not full waits for further questions, where nobody is kept waiting by it.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Q]], Awaitable[Sequence[A | Exception]]],
        max_size: int,
        turns: CallTurns | None = None,
        *,
        linger_s: float = 0.0,
    ) -> None:
        self._answer = answer
        self._max_size = max_size
        self._linger_s = linger_s
        # The calls of one batcher run one after the other in any case.
        self._turns = turns or CallTurns(many=sys.maxsize)
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def ask(self, question: Q) -> A:
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if self._worker is None or self._worker.done():
            # In a context of its own: its log lines would otherwise carry the ids of the first caller.
            self._worker = asyncio.create_task(self._answer_all(), context=Context())
        self._turns.open_questions += 1
        try:
            return await future
        finally:
            self._turns.open_questions -= 1

    async def _answer_all(self) -> None:
        while self._waiting:
            if self._linger_s and len(self._waiting) < self._max_size:
                await asyncio.sleep(self._linger_s)
            async with self._turns.turn():
                batch, self._waiting = self._waiting[: self._max_size], self._waiting[self._max_size :]
                try:
                    answers = await self._answer([question for question, _ in batch])
                    answered = list(zip(batch, answers, strict=True))
                except Exception as problem:  # noqa: BLE001 - every waiting caller gets it
                    answered = [(each, problem) for each in (*batch, *self._waiting)]
                    self._waiting = []
            for (_, future), answer in answered:
                _resolve(future, answer)


def _resolve(future: asyncio.Future[A], answer: A | Exception) -> None:
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
