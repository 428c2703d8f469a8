"""The entry point: it handles signals first, and imports the rest afterwards, which takes a second.

A process that is number 1 of a container is not ended by a signal that it has no handler for.
"""

import contextlib
import gc
import os
import signal
import sys
from types import FrameType

_BY_SIGNAL = 128


def main() -> None:
    serving = sys.argv[1:2] == ["run"]

    def end(number: int, _: FrameType | None) -> None:
        # `run` has begun nothing yet, so it has ended as asked; any other command was to do something, and did not.
        os._exit(0 if serving else _BY_SIGNAL + number)

    signal.signal(signal.SIGTERM, end)
    if heard := signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, end)
    # The parent may block signals until now (`env --block-signal=TERM`), so that none is lost before, either.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
    _open_what_is_closed()
    gc.disable()  # imports create no garbage, and collecting takes 5 % of the start
    from notification_service.cli import main  # noqa: PLC0415 - the heavy part, which must not delay the handlers

    gc.enable()
    if heard and not serving:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    main.main()


def _open_what_is_closed() -> None:
    """Open a file in place of a closed standard output (`>&-`): otherwise the first socket would get its number."""
    for number in range(3):
        with contextlib.suppress(OSError):
            os.fstat(number)
            continue
        os.open(os.devnull, os.O_RDWR)  # gets the lowest free number: this one
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


if __name__ == "__main__":
    main()
