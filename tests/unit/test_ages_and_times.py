"""Ages and times on the command line, at both edges: refused in words, before any server is asked."""

import subprocess
import sys
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from notification_service.cli.main import app
from notification_service.cli.options import moment
from notification_service.foundation.errors import ConfigurationError
from notification_service.stores.mongo.search import Place


@pytest.mark.parametrize("age", ["-1", "-0.1", "nan", "inf", "1e300", "87841", "old", ""])
@pytest.mark.parametrize("command", ["list", "replay", "discard"])
def test_an_age_that_cannot_be_meant_is_refused(command: str, age: str) -> None:
    ended = CliRunner().invoke(app, ["parked", command, f"--older-than={age}"])
    assert ended.exit_code == 2
    assert "hours from 0 to" in " ".join(ended.output.split())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("suppressions import x", "Missing option '--cause'. Choose from: gone, failing, complained, unsubscribed"),
        ("parked list --channel fax", "Invalid value for '--channel': 'fax' is not one of 'email', 'sms', 'push'"),
    ],
)
def test_a_choice_that_is_none_is_refused_in_one_plain_line(arguments: str, told: str) -> None:
    words = (sys.executable, "-m", "notification_service", *arguments.split())
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=100)
    assert ended.returncode == 2
    assert told in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert "\\" not in ended.stderr


@pytest.mark.parametrize("limit", ["-1", "0", "1001", "many"])
def test_a_number_of_rows_that_cannot_be_is_refused(limit: str) -> None:
    assert CliRunner().invoke(app, ["find", "x", f"--limit={limit}"]).exit_code == 2


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "99999999999d", "-1d", "1e9d", "now", ""]
)
def test_a_time_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--since"):
        moment("--since", text)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00", "9999-12-31T23:59:59Z", "2026-11-26T15:00+02:00"])
def test_a_time_is_in_utc(text: str) -> None:
    found = moment("--since", text)
    assert found is not None
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    "text", ["", "-", "one", "00010101T000000.000000Z-one", "19691231T235959.999999Z-one", "99991231T235959.999999Z-x"]
)
def test_a_page_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Place.read(text)


def test_a_page_is_read_as_it_is_written() -> None:
    place = Place(datetime(2026, 11, 26, 15, 0, 0, 123000, tzinfo=UTC), "n-1")
    assert Place.read(str(place)) == place
