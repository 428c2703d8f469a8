"""Each mutant still breaks what it is to break: `make mutants` takes too long to say so on every change."""

import ast
import re
from pathlib import Path

import pytest

from tests.mutants import MUTANTS, PACKAGE, ROOT, Mutant

each_mutant = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.guard)


@each_mutant
def test_it_matches_once_and_leaves_a_program(mutant: Mutant) -> None:
    path = PACKAGE / mutant.file
    sound = path.read_text("utf-8")
    assert sound.count(mutant.old) == 1, f"mend {mutant.guard!r} in tests/mutants.py: {mutant.old!r}"
    broken = sound.replace(mutant.old, mutant.new)
    assert broken != sound
    if path.suffix == ".py":
        ast.parse(broken)  # one that is no Python any more would be killed by every test


@each_mutant
def test_its_tests_are_there(mutant: Mutant) -> None:
    file, *chosen = mutant.tests
    assert (ROOT / file).is_file()
    if chosen:
        option, words = chosen
        assert option == "-k"
        assert _names_a_test(ROOT / file, words)


def _names_a_test(path: Path, words: str) -> bool:
    """Every alternative of `-k`; also those that are ids of parameters."""
    text = path.read_text("utf-8")
    return all(re.search(rf"(def test_|id=\")\w*{word}", text) for word in words.split(" or "))
