"""A provider whose name is not resolved takes no thread from the mail server's name."""

import asyncio
import os
import threading

from notification_service.bootstrap import threads
from tests.stack import example_channel


def test_a_name_is_resolved_though_no_conversation_of_another_channel_gets_its_own() -> None:
    assert asyncio.run(_resolves_beside_a_dead_name_server())


async def _resolves_beside_a_dead_name_server() -> bool:
    channel = example_channel.parts(1)
    threads.give_each_its_own([channel])
    answers = threading.Event()
    # As many as the event loop has by itself, less one, and two for each conversation.
    waiting = min(32, (os.cpu_count() or 1) + 4) - 1 + 2 * channel.max_concurrency
    lookups = [asyncio.create_task(asyncio.to_thread(answers.wait, 60)) for _ in range(waiting)]
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(10):
            await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 25)
    except TimeoutError:
        return False
    else:
        return True
    finally:
        answers.set()
        await asyncio.gather(*lookups)


def test_without_other_channels_the_event_loop_keeps_its_own_threads() -> None:
    async def kept() -> bool:
        threads.give_each_its_own([])
        return asyncio.get_running_loop()._default_executor is None  # type: ignore[attr-defined]

    assert asyncio.run(kept())
