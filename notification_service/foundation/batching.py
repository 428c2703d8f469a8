"""Combines calls that are made at the same time into one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class Batcher(Generic[Q, A]):
    """Collects questions while a call is running, and sends them with the next call, without waiting for a full batch.

    `answer` gets at most `max_size` questions, and returns an answer for each. An exception among the answers is raised
    for that question alone. An exception that `answer` raises is raised for every caller that waits at that moment,
    those of the next batch included: their call would time out at the same server.
    """

    def __init__(self, answer: Callable[[Sequence[Q]], Awaitable[Sequence[A | Exception]]], max_size: int) -> None:
        self._answer = answer
        self._max_size = max_size
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def ask(self, question: Q) -> A:
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if self._worker is None or self._worker.done():
            # In a context of its own: its log lines would otherwise carry the ids of the first caller.
            self._worker = asyncio.create_task(self._answer_all(), context=Context())
        return await future

    async def _answer_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[: self._max_size], self._waiting[self._max_size :]
            answers: Sequence[A | Exception]
            try:
                answers = await self._answer([question for question, _ in batch])
            except Exception as problem:  # noqa: BLE001 - every waiting caller gets it
                batch, self._waiting = batch + self._waiting, []
                answers = [problem] * len(batch)
            for (_, future), answer in zip(batch, answers, strict=True):
                _resolve(future, answer)


def _resolve(future: asyncio.Future[A], answer: A | Exception) -> None:
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
