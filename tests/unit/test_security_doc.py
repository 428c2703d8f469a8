"""docs/security.md names a test for what it says: each is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`", PAGE)


def test_the_page_names_tests() -> None:
    assert len(NAMED) > 20


@pytest.mark.parametrize(("file", "test"), NAMED, ids=lambda part: part)
def test_what_the_page_names_is_there(file: str, test: str) -> None:
    text = (ROOT / file).read_text("utf-8")
    assert not test or re.search(rf"^(?:async )?def {test}\(", text, re.MULTILINE)


@pytest.mark.parametrize(
    "row", [line for line in PAGE.splitlines() if line.startswith("| ") and not line.endswith("| test |")]
)
def test_every_row_that_claims_a_defence_names_a_test(row: str) -> None:
    assert "`tests/" in row
