"""Rows of a table: one line each at any width, ids that stay apart, and whole cells for a program."""

from datetime import UTC, datetime, timedelta

import pytest
from rich.cells import cell_len

from notification_service.cli.parked import whole_id
from notification_service.cli.tables import AGE, Column, age, aligned, shortened, tab_separated
from notification_service.foundation.errors import ConfigurationError

COLUMNS = (
    AGE,
    Column("time", optional=True),
    Column("text", min_width=6),
    Column("count", right=True),
    Column("id", is_id=True),
)
ROWS = [
    ("1m", "2026-11-26 15:00", "予約" * 20, 12345, "a" * 32),
    ("20h", "2026-11-26 15:00", "short", 7, "a" * 10 + "b" * 22),
]


@pytest.mark.parametrize("width", range(40, 140, 7))
def test_a_row_is_one_line_that_fits(width: int) -> None:
    lines = [each.plain for each in aligned(COLUMNS, ROWS, width)]
    assert len(lines) == 1 + len(ROWS)
    assert max(map(cell_len, lines)) <= width
    assert "12,345" in lines[1]


def test_a_wider_terminal_shows_more() -> None:
    narrow, wide = ([each.plain for each in aligned(COLUMNS, ROWS, width)] for width in (50, 160))
    assert "2026" not in narrow[1]
    assert "a" * 32 not in narrow[1]
    assert "2026" in wide[1]
    assert wide[1].endswith("a" * 32)


def test_a_program_gets_whole_cells_with_tabs_between_them() -> None:
    assert list(tab_separated(COLUMNS, [("1m", "now", "a\tb\x1b", 12345, "c" * 32)])) == [
        "time\ttext\tcount\tid",
        "now\ta\\tb\\x1b\t12345\t" + "c" * 32,
    ]


def test_shortened_ids_tell_each_other_apart() -> None:
    assert shortened(["a" * 32, "b" * 32, "brief"]) == ["a" * 8 + "…", "b" * 8 + "…", "brief"]
    assert len(set(shortened(["a" * 20 + "b" * 12, "a" * 20 + "c" * 12]))) == 2


def test_a_shortened_id_names_the_event_that_alone_begins_so() -> None:
    known = ["evt-2026-1", "evt-2026-2", "payment-1"]
    assert whole_id("payment-…", known) == "payment-1"
    assert whole_id("evt-2026-1", [*known, "evt-2026-11"]) == "evt-2026-1"
    assert whole_id("pay", known) == "pay"
    with pytest.raises(ConfigurationError, match="2 parked events"):
        whole_id("evt-2026", known)


@pytest.mark.parametrize(("seconds", "said"), [(-5, "0s"), (59, "59s"), (60, "1m"), (7200, "2h"), (1e6, "11d")])
def test_an_age_has_one_unit(seconds: float, said: str) -> None:
    assert age(datetime.now(UTC) - timedelta(seconds=seconds)) == said
