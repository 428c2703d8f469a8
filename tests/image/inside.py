"""The part of the check that runs in namespaces of its own: PID 1 there, so that with it everything else ends."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

from tests.image import pip_settings, standins
from tests.image.checks import CHECKS
from tests.image.engine import CommandFailedError, Engine
from tests.image.project import CheckFailedError, Project, until
from tests.stack.processes import PartFailedError

FAILED, CANNOT = 1, 3


def main() -> int:
    folder, data, tree = map(Path, sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    threading.Thread(target=_end_with_the_caller, daemon=True).start()
    try:
        until(lambda: "tap0" in Path("/proc/net/dev").read_text(), "a way out of the network namespace", 15)
        with Engine(folder, data) as engine:
            return _check(engine, folder, tree)
    except (PartFailedError, CheckFailedError) as problem:
        sys.stderr.write(f"the Docker engine does not run here: {problem}\n")
        return CANNOT


def _check(engine: Engine, folder: Path, tree: Path) -> int:
    engine.clear()
    secrets = pip_settings.secrets(folder)
    begun = time.monotonic()
    try:
        standins.build(engine, standins.import_debian(engine, tree), folder, secrets)
    except CommandFailedError as problem:
        sys.stderr.write(f"the stand-ins cannot be built here: {problem}\n")
        return CANNOT
    _say("stand-ins", time.monotonic() - begun, "built, nothing was fetched from a registry of images")
    for part, name in standins.shipped_images().items():
        sys.stdout.write(f"      {name}: {standins.STAND_INS[part]}\n")
    return _run_all(Project(engine, tree / standins.COMPOSE, folder, secrets))


def _run_all(project: Project) -> int:
    for name, check in CHECKS.items():
        begun = time.monotonic()
        try:
            figure = check(project)
        except (CheckFailedError, CommandFailedError) as problem:
            sys.stdout.write(f"FAILED {name}: {problem}\n")
            sys.stdout.write(f"The service's last lines:\n{project.logs()}\n")
            return FAILED
        _say(name, time.monotonic() - begun, figure)
    return 0


def _say(name: str, seconds: float, figure: str) -> None:
    sys.stdout.write(f"ok    {name} ({seconds:.0f} s): {figure}\n")
    sys.stdout.flush()


def _end_with_the_caller() -> None:
    """Standard input ends when the caller wants an end, or is gone."""
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
