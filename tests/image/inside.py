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
    """With `CANNOT` the reason stands in the folder's file of that name."""
    folder, data, tree = map(Path, sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    threading.Thread(target=_end_with_the_caller, daemon=True).start()
    try:
        until(lambda: "tap0" in Path("/proc/net/dev").read_text("utf-8"), "a way out of the network namespace", 15)
        with Engine(folder, data) as engine:
            return _run_all(_prepared(engine, folder, tree))
    except (PartFailedError, CommandFailedError, CheckFailedError) as problem:
        (folder / "reason").write_text(str(problem), "utf-8")
        return CANNOT
    finally:
        pip_settings.forget(folder)  # the caller removes the folder, unless it was killed


def _prepared(engine: Engine, folder: Path, tree: Path) -> Project:
    """The project, not built yet, and the stand-ins of the images that it names."""
    begun = time.monotonic()
    engine.clear()
    secrets = pip_settings.secrets(folder)
    standins.build(engine, standins.import_debian(engine, tree, folder), folder, secrets)
    _say("stand-ins", time.monotonic() - begun, "no registry of images was asked, and these are not the real ones:")
    for part, name in standins.shipped_images().items():
        sys.stdout.write(f"      {name}: {standins.STAND_INS[part]}\n")
    return Project(engine, tree / standins.COMPOSE, folder, secrets)


def _run_all(project: Project) -> int:
    for name, check in CHECKS.items():
        begun = time.monotonic()
        try:
            figure = check(project)
        except Exception as problem:  # noqa: BLE001 - whatever a check meets is what it found
            sys.stdout.write(f"FAILED {name} ({check.__doc__}): {type(problem).__name__}: {problem}\n")
            sys.stdout.write(f"The last lines of the service, which is gone now:\n{project.logs()}\n")
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
