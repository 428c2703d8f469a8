"""The official AsyncAPI parser, from npm."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.stack import npm

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Reading:
    read: bool
    found: list[str]
    operations: list[str]


def missing() -> str | None:
    """What keeps the parser from being run here, as a sentence."""
    return npm.missing("the official AsyncAPI parser")


def parse(*documents: str) -> list[Reading]:
    """What it finds in each. They share its start, which takes longer than any of them."""
    command = ["node", str(HERE / "parse.mjs")]
    cache = npm.installed(HERE)
    done = subprocess.run(command, input=json.dumps(documents), capture_output=True, text=True, check=False, cwd=cache)
    assert not done.returncode, done.stderr
    return [Reading(**each) for each in json.loads(done.stdout)]
