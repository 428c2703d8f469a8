"""A stack with a broker of its own, which a test may kill, block, configure and cut."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.stack.local import LocalStack
from tests.stack.rabbitmq import find_broker


@contextmanager
def own_broker(stack: LocalStack, folder: Path) -> Iterator[LocalStack]:
    """The other parts are those of `stack`."""
    own = copy.copy(stack)
    own.broker = find_broker(folder, {"collect_statistics_interval": "1000"})
    with own.broker:
        # By itself a quorum queue counts what is unacked every five seconds only.
        own.broker.tell(quorum_tick_interval=1000)
        yield own
