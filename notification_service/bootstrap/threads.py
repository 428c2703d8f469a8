"""Threads in which names are resolved: the channels share those of the event loop."""

import os
from collections.abc import Sequence

from notification_service.bootstrap.parts import ChannelParts

_MAIL = 8
_MOST = 1024
"""Of libuv."""


def give_each_its_own(channels: Sequence[ChannelParts]) -> None:
    """Have threads for every conversation of these channels, beside those for the mail server and the stores.

    uvloop resolves names in two of libuv's four threads. A provider whose name servers do not answer would keep both
    for as long as the resolver waits (30 s, and no cancellation ends that), and no new session to the mail server could
    begin meanwhile. Twice the conversations: one that is given up leaves its thread behind, and the next begins. Libuv
    reads the number when the first name is resolved; an operator's own is left as it is.
    """
    if channels:
        needed = _MAIL + sum(2 * each.max_concurrency for each in channels)
        # Half of the threads may do slow work, which resolving is.
        os.environ.setdefault("UV_THREADPOOL_SIZE", str(min(2 * needed, _MOST)))
