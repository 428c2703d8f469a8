"""The fast paths give the same results as the plain code."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from gettext import NullTranslations
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from babel import Locale
from babel.dates import format_time
from hypothesis import example, given, strategies as st
from jinja2 import DictLoader, Environment
from markupsafe import Markup

from notification_service.content import dates, formatting, templates, zone_names
from notification_service.content.dates import Form
from notification_service.foundation.batching import Batcher, CallTurns
from notification_service.foundation.caching import bounded_cache
from notification_service.stores.mongo import documents

LOCALES = [Locale.parse(name) for name in ("en_US", "ar", "hi", "ja", "pl", "es", "zh_TW")]
ZONES = [ZoneInfo(name) for name in ("UTC", "America/New_York", "Asia/Kolkata", "Europe/Madrid")]
INSTANTS = st.datetimes(datetime(2026, 10, 25), datetime(2026, 10, 26)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001 - UTC is put in behind it


# ── what is remembered ───────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.tuples(INSTANTS, st.sampled_from(ZONES), st.sampled_from(LOCALES)), max_size=8))
def test_a_moment_reads_in_its_own_zone_whatever_was_asked_before(
    asked: list[tuple[datetime, ZoneInfo, Locale]],
) -> None:
    cases = [
        (local, form, locale)
        for instant, zone, locale in asked
        for local in (instant.astimezone(zone), instant.astimezone(zone) + timedelta(0), instant.replace(tzinfo=None))
        for form in (Form(), Form("brief"), Form("near", zone=local.tzinfo is not None))
    ]
    said = [dates.written(*case) for case in cases]
    assert said == [written_anew(*case) for case in cases]


def written_anew(local: datetime, form: Form, locale: Locale) -> str:
    for remembered in (dates._day, dates._clock, dates._clock_pattern, dates._cldr_joint, zone_names._of_key):
        remembered.cache_clear()
    return dates._written(local, form, locale)


def test_a_part_of_the_day_that_begins_with_a_second_is_told_by_the_second() -> None:
    taiwan = Locale.parse("zh_TW")
    noon = datetime(2026, 11, 24, 12, 0)  # noqa: DTZ001 - a clock on a wall
    for local in (noon, noon + timedelta(seconds=1), noon - timedelta(seconds=1)):
        assert dates.written(local, Form(None), taiwan) == format_time(local, "Bh:mm", locale=taiwan)


def test_one_moment_in_two_zones_reads_in_each() -> None:
    noon = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
    said = [dates.written(noon.astimezone(zone), Form(zone=True), LOCALES[0]) for zone in ZONES[:3]]
    assert len(set(said)) == 3


@given(st.lists(st.sampled_from(["1", "1.0", "1.00", "2", "-0", "0", "25.5", "25.50"]), max_size=12))
def test_an_amount_reads_as_it_would_alone_whatever_was_asked_before(amounts: list[str]) -> None:
    for amount in amounts:
        for locale in LOCALES:
            fresh = formatting._money.__wrapped__(amount, "USD", locale)  # type: ignore[attr-defined]  # functools.wraps
            assert formatting._money(str(Decimal(amount)), "USD", locale) == fresh


def test_what_is_long_is_not_kept() -> None:
    calls: list[str] = []

    @bounded_cache(8)
    def told(text: str) -> int:
        calls.append(text)
        return len(text)

    assert [told("x" * 64), told("x" * 64), told("x" * 65), told("x" * 65)] == [64, 64, 65, 65]
    assert [len(text) for text in calls] == [64, 65, 65]


# ── sentences and macros ─────────────────────────────────────────────────────────────────────────────

TEMPLATES = {
    "parts.html": "{% macro row(label, value, kind='x') %}"
    '<i class="{{ kind }}">{{ label }}={{ value }}</i>{% endmacro %}{% macro box() %}[{{ caller() }}]{% endmacro %}',
    "layout.html": "<{% block content %}{% endblock %}>{{ _('Bye %(name)s', name=name) }}",
    "page.html": "{% extends 'layout.html' %}{% from 'parts.html' import row, box %}{% block content %}"
    "{% for one in many %}{{ row(_('A & B'), one) }}{{ row(_('Hello %(name)s 100%%', name=one), one, kind='y') }}"
    "{% endfor %}{% call box() %}{{ row(_('End'), name) }}{% endcall %}"
    "{{ ngettext('%(num)s ticket', '%(num)s tickets', many|length) }}{% endblock %}",
}
TEMPLATES |= {
    "calls.html": "{% macro plain(a, b='<b>', c=a) %}{{ a }}{{ b }}{{ c }}{% endmacro %}"
    "{% macro more(a) %}{{ a }}{{ varargs|length }}{{ kwargs|length }}{% endmacro %}"
    "{% macro boxed(a) %}{{ a }}[{{ caller(name) }}]{% endmacro %}"
    "{{ plain(name) }}{{ plain(name, name) }}{{ plain(b=name, a=1) }}{{ plain(none, true, 1.5) }}"
    "{{ more(name, 1, 2, x=3) }}{{ plain(plain(plain(name))) ~ name }}{{ plain(name)|length }}"
    "{% call(inner) boxed(name) %}{{ inner }}{% endcall %}{% call(inner) boxed(a=name) %}{{ inner }}{% endcall %}",
    "values.html": "{{ many|length }}{{ name.upper() }}{{ thing.word }}{{ thing.key }}{{ thing.none }}"
    "{{ thing.missing is defined }}{{ thing.word is defined }}{{ thing.sub.word }}{{ range(3)|list }}"
    "{% for one in many if one %}{{ loop.index }}{{ one }}{% set name = one %}{{ name }}{% endfor %}{{ name }}",
    "sentences.html": "{{ _('50%% & more') }}{{ _('%(n)d of %(name)s', n=3, name=name) }}{{ _(name|replace('%', '')) }}"
    "{{ _('<b>%(name)s</b>', name=name) }}{% trans name=name %}Dear {{ name }}{% endtrans %}"
    "{% if true %}{% set _ = many %}{{ _|length }}{% endif %}",
    "other.html": "{% from 'parts.txt' import row, box %}{{ row(name, name) }}{% call box() %}{{ name }}{% endcall %}",
    "whole.html": "{% import 'parts.html' as parts %}{{ parts.row(name, name) }}{% include 'parts.html' %}"
    "{% autoescape false %}{{ name }}{{ parts.row(name, name) }}{% endautoescape %}"
    "{% autoescape name|length > 2 %}{% macro plain(a) %}{{ a }}{% endmacro %}{{ name }}{{ plain(name) }}"
    "{{ parts.row(name, name) }}{{ _('<b>') }}{% call parts.box() %}{{ name }}{% endcall %}{% endautoescape %}",
}
PAGES = [name for name in TEMPLATES if name not in ("parts.html", "layout.html")]
TEMPLATES |= {name.replace(".html", ".txt"): text.replace(".html", ".txt") for name, text in TEMPLATES.items()}


@cache
def environments() -> tuple[Environment, Environment]:
    """Jinja's own, and ours."""
    loader = DictLoader(TEMPLATES)
    plain = Environment(loader=loader, autoescape=is_html, extensions=["jinja2.ext.i18n"])  # noqa: S701 - as ours
    plain.install_null_translations(newstyle=True)  # type: ignore[attr-defined]  # i18n's own
    return plain, templates.environment(loader, NullTranslations(), templates.SharedBytecode(), {})


class Thing:
    word = "<w>"
    none = None
    sub = SimpleNamespace(word=Markup("<i>"))

    def __getitem__(self, key: str) -> str:
        return {"key": "'k'"}[key]


def is_html(name: str | None) -> bool:
    return name is not None and name.endswith(".html")


@pytest.mark.parametrize("page", [*PAGES, *(page.replace(".html", ".txt") for page in PAGES)])
@given(name=st.text(), many=st.lists(st.text() | st.builds(Markup, st.text()), max_size=3))
def test_sentences_and_macros_read_as_jinjas_own(page: str, name: str, many: Sequence[str]) -> None:
    values = {"name": name, "many": many, "thing": Thing()}
    wanted, found = (each.get_template(page).render(values) for each in environments())
    assert found == wanted


# ── records ──────────────────────────────────────────────────────────────────────────────────────────


@given(st.text(st.characters(exclude_categories=())))
@example("plain")
@example("a\0b")
@example("\ud800 half")
@example("é\0\udfff")
def test_a_text_is_stored_as_it_would_be_by_way_of_its_bytes(text: str) -> None:
    assert documents.storable_text(text) == text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


# ── groups ───────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_asked_together_is_answered_as_alone_and_one_by_one_at_most_so_many() -> None:
    groups: list[int] = []

    async def squares(numbers: Sequence[int]) -> list[int | Exception]:
        groups.append(len(numbers))
        await asyncio.sleep(0)
        return [number * number if number % 7 else ValueError(f"{number}") for number in numbers]

    asked: Batcher[int, int] = Batcher(squares, 10)
    answers = await asyncio.gather(*(asked.ask(number) for number in range(50)), return_exceptions=True)
    wanted: list[Any] = [number * number if number % 7 else str(number) for number in range(50)]
    assert [str(each) if isinstance(each, ValueError) else each for each in answers] == wanted
    assert max(groups) == 10
    assert sum(groups) == 50


async def test_a_group_that_fails_fails_for_all_who_wait_then_and_for_nobody_later() -> None:
    async def fails(numbers: Sequence[int]) -> list[int | Exception]:
        await asyncio.sleep(0)
        if 0 in numbers:
            raise OSError("gone")
        return list(numbers)

    asked: Batcher[int, int] = Batcher(fails, 2)
    answers = await asyncio.gather(*(asked.ask(number) for number in range(4)), return_exceptions=True)
    assert [isinstance(each, OSError) for each in answers] == [True] * 4
    assert [await asked.ask(number) for number in (4, 5)] == [4, 5]


async def test_a_group_with_too_few_answers_leaves_nobody_waiting() -> None:
    async def too_few(questions: Sequence[int]) -> Sequence[int]:
        return questions[1:]

    asked: Batcher[int, int] = Batcher(too_few, 10)
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*map(asked.ask, range(3)), return_exceptions=True)
    assert [type(each) for each in answers] == [ValueError] * 3


async def test_nobody_waits_longer_than_one_group_for_a_server_that_is_silent() -> None:
    async def silent(numbers: Sequence[int]) -> list[int | Exception]:
        await asyncio.sleep(0.2)
        raise TimeoutError

    asked: Batcher[int, int] = Batcher(silent, 1)
    began = asyncio.get_running_loop().time()
    answers = await asyncio.gather(*(asked.ask(number) for number in range(20)), return_exceptions=True)
    assert all(isinstance(each, TimeoutError) for each in answers)
    assert asyncio.get_running_loop().time() - began < 1.0


async def test_who_stops_waiting_spoils_nothing_for_the_others() -> None:
    gate = asyncio.Event()

    async def gated(numbers: Sequence[int]) -> list[int | Exception]:
        await gate.wait()
        return list(numbers)

    asked: Batcher[int, int] = Batcher(gated, 10)
    tasks = [asyncio.create_task(asked.ask(number)) for number in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    gate.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert (answers[0], answers[2]) == (0, 2)
    assert isinstance(answers[1], asyncio.CancelledError)


@pytest.mark.parametrize(("questions", "together", "calls"), [(2, 2, 4), (20, 1, 4)])
async def test_calls_of_several_batchers_take_turns_while_many_questions_are_open(
    questions: int, together: int, calls: int
) -> None:
    """`together`: the most calls at one time. With few questions none waits for another."""
    running, seen, sizes = 0, 0, []

    async def answer(numbers: Sequence[int]) -> list[int | Exception]:
        nonlocal running, seen
        running += 1
        seen = max(seen, running)
        sizes.append(len(numbers))
        await asyncio.sleep(0.02)
        running -= 1
        return list(numbers)

    turns = CallTurns(many=8)
    batchers: list[Batcher[int, int]] = [Batcher(answer, 10, turns) for _ in range(2)]
    for _ in range(2):
        asked = [each.ask(number) for number in range(questions // 2) for each in batchers]
        assert await asyncio.gather(*asked) == [number for number in range(questions // 2) for _ in batchers]
    assert (seen, len(sizes)) == (together, calls)
    assert turns.open_questions == 0


async def test_a_call_that_hangs_keeps_the_other_calls_for_a_moment_only() -> None:
    async def hangs(numbers: Sequence[int]) -> list[int | Exception]:
        await asyncio.sleep(3600)
        return list(numbers)

    async def echo(numbers: Sequence[int]) -> list[int | Exception]:
        return list(numbers)

    turns = CallTurns(many=0, max_wait_s=0.05)
    stuck: Batcher[int, int] = Batcher(hangs, 10, turns)
    other: Batcher[int, int] = Batcher(echo, 10, turns)
    waiting = asyncio.create_task(stuck.ask(1))
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        assert [await other.ask(number) for number in range(3)] == [0, 1, 2]
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert turns.open_questions == 0


async def test_a_call_that_fails_gives_its_turn_back() -> None:
    async def fails(numbers: Sequence[int]) -> list[int | Exception]:
        raise OSError("gone")

    turns = CallTurns(many=0, max_wait_s=3600)
    asked: list[Batcher[int, int]] = [Batcher(fails, 1, turns) for _ in range(2)]
    async with asyncio.timeout(1):
        answers = await asyncio.gather(*(each.ask(1) for each in asked * 3), return_exceptions=True)
    assert [type(each) for each in answers] == [OSError] * 6
    assert turns.open_questions == 0


async def test_a_call_that_lingers_takes_those_who_come_meanwhile_unless_it_is_full() -> None:
    groups: list[int] = []

    async def echo(numbers: Sequence[int]) -> list[int | Exception]:
        groups.append(len(numbers))
        return list(numbers)

    asked: Batcher[int, int] = Batcher(echo, 10, linger_s=0.2)
    tasks = []
    for number in range(5):
        tasks.append(asyncio.create_task(asked.ask(number)))
        await asyncio.sleep(0.01)
    assert await asyncio.gather(*tasks) == list(range(5))
    assert groups == [5]
    full: Batcher[int, int] = Batcher(echo, 10, linger_s=3600)
    async with asyncio.timeout(1):
        assert await asyncio.gather(*map(full.ask, range(20))) == list(range(20))
    assert groups == [5, 10, 10]
