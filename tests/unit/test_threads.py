"""A provider whose name is not resolved takes no thread from the mail server's name."""

import os
import subprocess
import sys

import pytest

_STARTED = """
import asyncio, os, uvloop
from notification_service.bootstrap import threads
from tests.stack import example_channel

async def started():
    threads.give_each_its_own([example_channel.parts(1)] * {channels})
    before = len(os.listdir("/proc/self/task"))
    await asyncio.get_running_loop().getaddrinfo("localhost", 25)
    return len(os.listdir("/proc/self/task")) - before

with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    print(runner.run(started()))
"""


@pytest.mark.parametrize(("channels", "threads"), [(0, 4), (1, 48), (2, 80)])
def test_half_of_the_threads_are_for_two_lookups_of_each_conversation_and_eight_more(
    channels: int, threads: int
) -> None:
    """Libuv resolves names in half of its threads. Without other channels it has its own four."""
    code = _STARTED.format(channels=channels)
    own = {name: value for name, value in os.environ.items() if name != "UV_THREADPOOL_SIZE"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=own)
    assert int(done.stdout) == threads
