"""Threads for what blocks, above all for resolving names: the channels share those of the event loop."""

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from notification_service.bootstrap.parts import ChannelParts

_LIKE_ASYNCIO = min(32, (os.cpu_count() or 1) + 4)


def give_each_its_own(channels: Sequence[ChannelParts]) -> None:
    """Give the running event loop threads for every conversation of these channels, beside those that it has anyway.

    The event loop resolves names in at most `_LIKE_ASYNCIO` threads. A provider whose name servers do not answer would
    keep all of them for as long as the resolver waits (30 s, and no cancellation ends that), and no new session to the
    mail server could begin meanwhile. Twice the conversations: one that is given up leaves its thread behind, and the
    next begins. A thread is started when it is needed.
    """
    if channels:
        needed = _LIKE_ASYNCIO + sum(2 * each.max_concurrency for each in channels)
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(needed, "blocking"))
