"""The pages on feedback, suppression, clicks and providers name settings that there are, and servers that are known."""

import re
from pathlib import Path

import pytest

from notification_service.channels.email.smtp import sending_services
from tests.unit.test_deploy import all_settings

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("feedback.md", "suppression.md", "clicks.md", "providers.md")
_NAME = re.compile(r"\b(?:[A-Z][A-Z0-9]+_)+[A-Z0-9*]+\b")
NO_SETTINGS = {"THIRD_PARTY_AUTH_ERROR"}
"""What a provider answers."""


@pytest.mark.parametrize("page", PAGES)
def test_each_setting_that_a_page_names_is_one(page: str) -> None:
    named = set(_NAME.findall((DOCS / page).read_text("utf-8")))
    assert named
    assert named - set(all_settings()) <= NO_SETTINGS


def test_the_servers_of_the_table_are_known_with_the_setting_that_lets_their_reports_in() -> None:
    text = (DOCS / "providers.md").read_text("utf-8").partition("its reports come in with |")[2].partition("\n\n")[0]
    rows = [re.findall(r"`([^`]+)`", row) for row in text.splitlines()[2:]]
    assert len(rows) == 4
    for *servers, setting in rows:
        assert setting in all_settings()
        for server in servers:
            known = sending_services.find(server)
            assert known is not None, server
            assert known.webhook_setting == setting
