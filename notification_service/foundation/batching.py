"""What many jobs ask for at the same moment, asked together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class Batcher(Generic[Q, A]):
    """What is asked while one group is under way is the next group, so that nobody waits for a group to fill.

    `answer` gets at most `largest` questions and gives one answer for each; an exception among them is raised for
    whoever asked that question. One that `answer` itself raises is raised for everybody who waits at that moment, those
    of the next group too: they would ask the same silent server, and wait as long again.
    """

    def __init__(self, answer: Callable[[Sequence[Q]], Awaitable[Sequence[A | Exception]]], largest: int) -> None:
        self._answer = answer
        self._largest = largest
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def ask(self, question: Q) -> A:
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if self._worker is None or self._worker.done():
            # A context of its own, or its log lines would carry the ids of whoever came first.
            self._worker = asyncio.create_task(self._work_off(), context=Context())
        return await future

    async def _work_off(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[: self._largest], self._waiting[self._largest :]
            answers: Sequence[A | Exception]
            try:
                answers = await self._answer([question for question, _ in group])
            except Exception as problem:  # noqa: BLE001 - every waiting caller gets it
                group, self._waiting = group + self._waiting, []
                answers = [problem] * len(group)
            for (_, future), answer in zip(group, answers, strict=True):
                _resolve(future, answer)


def _resolve(future: asyncio.Future[A], answer: A | Exception) -> None:
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
