"""Every command of docs/ops/drill.md, in its order, on a stack as `make run` leaves it."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.stack import debian, demo
from tests.stack.place import Place

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ops" / "drill.md").read_text("utf-8")
STEPS = re.findall(r"^```sh\n(.*?)\n```\n(?:\nSays ((?:`[^`]+`(?:, )?)+))?", PAGE, re.MULTILINE | re.DOTALL)
ACTS = ("tests.stack.drill", "replay --yes")
_MAX_LENGTH = 60.0


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_the_drill_goes_as_its_page_says(place: Place, tmp_path: Path) -> None:
    debian.need("jq")
    promised = [re.findall(r"`([^`]+)`", said) for _, said in STEPS]
    assert sum(map(len, promised)) >= 17
    with place.service() as service:
        environment = {**demo.environment(place, service), "COLUMNS": "200"}
        bin_folder = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        for (command, _), words in zip(STEPS[1:], promised[1:], strict=True):
            local = command.replace("/tmp/drill.bookings", str(tmp_path / "bookings"))  # noqa: S108 - the page's own
            told = run(local, {**os.environ, **environment, "PATH": bin_folder}, words)
            assert [word for word in words if word not in told] == [], f"{command}\n{told}"


def run(command: str, environment: dict[str, str], words: list[str]) -> str:
    """Run what acts once, and what looks until it sees what the page promises, as a person would."""
    ends = time.monotonic() + _MAX_LENGTH
    while True:
        done = subprocess.run(
            ("bash", "-o", "pipefail", "-c", command),
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        told = done.stdout + done.stderr
        if any(act in command for act in ACTS):
            assert done.returncode == 0, f"{command}\n{told}"
            return told
        if all(word in told for word in words) or time.monotonic() > ends:
            return told
        time.sleep(0.5)
