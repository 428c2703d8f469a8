"""What operators, dashboards, other services and stored data call by its name changes only with the changelog."""

import json

import pytest

from tests import public_names
from tests.unit.test_metrics import watched

LISTED: public_names.Names = json.loads(public_names.LIST.read_text("utf-8"))
FOUND = public_names.collect(watched().registry)


def test_every_kind_of_name_is_listed() -> None:
    assert list(FOUND) == list(LISTED)
    assert all(FOUND.values())


@pytest.mark.parametrize("kind", LISTED)
def test_a_public_name_is_neither_new_nor_gone_without_the_changelog(kind: str) -> None:
    new, gone = sorted({*FOUND[kind]} - {*LISTED[kind]}), sorted({*LISTED[kind]} - {*FOUND[kind]})
    assert not new + gone, (
        f"The public names of the kind '{kind}' have changed: {new} are new, {gone} are gone. Somebody may depend on "
        "them: if that is meant, update tests/public_names.json (`make contract`) and say it in CHANGELOG.md."
    )
