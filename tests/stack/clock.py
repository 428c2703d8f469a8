"""`notification-service run` whose wall clock jumps while it runs; the monotonic clock goes on as it did.

SIGUSR1 sets the clock JUMP seconds ahead, which may be less than none.
"""

import os
import signal
import sys
import time
from datetime import datetime, tzinfo
from pathlib import Path

from notification_service.cli import main
from tests.stack.place import Service

ROOT = Path(__file__).parents[2]
_true_time = time.time


class Jumping(Service):
    """The program below as a child."""

    def command(self) -> tuple[str, ...]:
        return (sys.executable, "-m", "tests.stack.clock")

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "PYTHONPATH": str(ROOT)}

    def jump(self) -> None:
        os.kill(self.pid, signal.SIGUSR1)


class Moved(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # what is stored is a plain datetime
        return datetime.fromtimestamp(time.time(), tz)


def jump(*_: object) -> None:
    """Every module of the service has the clock under one of these two names."""
    ahead = float(os.environ["JUMP"])
    setattr(time, "time", lambda: _true_time() + ahead)  # noqa: B010 - mypy knows that a function is no variable
    for name, module in list(sys.modules.items()):
        if name.startswith("notification_service.") and vars(module).get("datetime") is datetime:
            vars(module)["datetime"] = Moved


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, jump)
    sys.argv[1:] = ["run"]
    main.main()
