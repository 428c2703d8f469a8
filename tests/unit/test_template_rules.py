"""Each rule passes the templates as they are, and finds the one fault that it is for, with its file and line."""

import shutil
from pathlib import Path

import pytest

from notification_service.preview import template_rules

TEMPLATES = Path(__file__).parents[2] / "templates"


def found(templates: Path) -> list[tuple[str, str]]:
    return [(fault.where, fault.what) for fault in template_rules.faults(templates)]


def test_no_template_of_ours_breaks_a_rule() -> None:
    assert found(TEMPLATES) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "what"),
    [
        ("payment_failed/body.html", "</p>\n{% else %}", ".</p>\n{% else %}", "'.' stands outside of the catalogues"),
        ("payment_failed/body.txt", '{{ _("Your payment', 'Oh: {{ _("Your payment', "'Oh:' stands outside"),
        ("_base/layout.txt", "{{ brand.name }}\n", "{{ brand.name }}:\n", "':' stands outside of the catalogues"),
        (
            "payment_success/body.txt",
            '{{ _("Thank you. Here\'s your receipt.") }}',
            '{{ _("Thank you.") }} {{ _("Here\'s your receipt.") }}',
            "two sentences are joined here",
        ),
        (
            "payment_failed/body.txt",
            "{{ sentences(said,",
            '{{ said ~ ": " ~ sentences(said,',
            "two sentences are joined",
        ),
        ("payment_failed/body.txt", "{{ sentences(said,", '{{ [said]|join(" ") ~ sentences(said,', "are joined here"),
        (
            "payment_success/body.txt",
            'fact(_("Payment reference"), event.transaction_id)',
            'fact(_("Transaction"), event.transaction_id)',
            "'Transaction' is called 'Payment reference' in other mails",
        ),
        (
            "payment_refund/body.html",
            'fact(_("Payment reference"), payment, ',
            'fact(_("Payment"), payment, ',
            "'Payment' is called 'Payment reference' in other mails",
        ),
        (
            "booking_confirmation/body.html",
            '_("On the day")',
            '_("You can cancel where you booked.")',
            "'You can cancel' is promised without CANCEL_HOURS",
        ),
        ("_base/words.txt", "{%- if hours -%}", "{%- if true -%}", "'You can cancel' is promised without CANCEL_HOURS"),
        (
            "booking_confirmation/body.txt",
            ", terms.arrive_minutes) if terms.arrive_minutes",
            ", 20)",
            "'arrive about' is promised without ARRIVE_MINUTES",
        ),
        (
            "payment_failed/body.html",
            '_("You haven\'t been charged.") if nothing_charged',
            '_("You haven\'t been charged.") if said',
            '"haven\'t been charged" is promised without nothing_charged',
        ),
        (
            "payment_failed/body.html",
            "{% if again and event.seats_held_until %}",
            "{% if again %}",
            "'holding them for you' is promised without the event's seats_held_until",
        ),
        ("_base/words.txt", "{%- if references -%}", "{%- if payment -%}", " above' is promised without"),
        # The same faults in other words.
        ("payment_success/body.html", 'fact(_("Where"),', 'fact("Where",', "'Where' stands outside of the catalogues"),
        ("payment_success/body.html", 'fact(_("Where"),', 'fact("where",', "'where' stands outside of the catalogues"),
        ("_base/layout.html", 'alt="{{ brand.name }}"', 'alt="Logo"', "'Logo' stands outside of the catalogues"),
        ("payment_success/body.txt", "event.movie_title)", 'event.movie_title or "Unknown movie")', "'Unknown movie'"),
        ("payment_success/body.txt", "event.movie_title)", 'event.movie_title|default("A movie"))', "'A movie' stands"),
        (
            "payment_success/body.html",
            "{{ greeting(person) }}",
            '{{ "%s: %s"|format(amount, amount) }}',
            "'%s: %s' stands",
        ),
        (
            "payment_failed/body.txt",
            "{{ sentences(said,",
            '{{ said + " " + sentences(said,',
            "two sentences are joined",
        ),
        ("payment_failed/body.txt", "{{ sentences(said,", '{{ [said]|join(" · ") ~ sentences(said,', "are joined here"),
        (
            "payment_success/body.html",
            '{{ _("Thank you. Here\'s your receipt.") }}',
            '{{ _("Thank you.") }}\n{{ _("Here\'s your receipt.") }}',
            "two sentences are joined here",
        ),
        (
            "payment_success/body.html",
            '{{ _("Thank you. Here\'s your receipt.") }}',
            '<b>{{ _("Thank you.") }}</b> {{ _("Here\'s your receipt.") }}',
            "two sentences are joined here",
        ),
        (
            "payment_success/body.txt",
            '{{ _("Thank you. Here\'s your receipt.") }}',
            '{{ _("Thank you.") ~ _("Here\'s your receipt.") }}',
            "two sentences are joined here",
        ),
        (
            "payment_success/body.txt",
            'fact(_("Payment reference"), event.transaction_id)',
            "fact(_('Transaction'), event.transaction_id|line if event.transaction_id)",
            "'Transaction' is called 'Payment reference' in other mails",
        ),
        (
            "booking_confirmation/body.txt",
            ") if terms.arrive_minutes,",
            ") if not terms.arrive_minutes,",
            "is promised without ARRIVE_MINUTES",
        ),
        (
            "booking_confirmation/body.txt",
            ") if terms.arrive_minutes,",
            ") if terms.arrive_minutes or calendar,",
            "is promised without ARRIVE_MINUTES",
        ),
        (
            "booking_confirmation/body.html",
            '_("Bring this email, on your phone or printed."),',
            '_("Come 20 minutes early."),',
            "'minutes early' is promised without ARRIVE_MINUTES",
        ),
        (
            "booking_confirmation/body.html",
            '_("Bring this email, on your phone or printed."),',
            '_("You may still cancel online."),',
            "'You may still cancel' is promised without CANCEL_HOURS",
        ),
        (
            "_base/words.txt",
            '_("How soon it arrives depends on your bank.")',
            '_("It arrives within 7 days.")',
            "'within 7 days' is promised without REFUND_DAYS",
        ),
        (
            "payment_failed/body.html",
            "_(\"They're yours once you've paid, if they're still available.\")",
            '_("Your seats are reserved for you.")',
            "'reserved for you' is promised without the event's seats_held_until",
        ),
        (
            "payment_failed/body.html",
            '_("You haven\'t been charged.") if nothing_charged',
            '_("No money was taken.")',
            "'No money was taken' is promised without nothing_charged",
        ),
        (
            "booking_cancellation/body.txt",
            '_("This booking isn\'t refundable.")',
            '_("We\'ll refund you.")',
            "\"We'll refund\" is promised without the event's refund_amount",
        ),
        (
            "booking_cancellation/body.txt",
            ' if cause == "customer"',
            "",
            "'You requested this cancellation' is promised without a known cause",
        ),
        ("payment_success/body.txt", "Thank you.", "Thank you!", "has an exclamation mark"),
        ("booking_cancellation/body.txt", "{% if calendar %}", "{% if event.showtime %}", "without a calendar file"),
        (
            "booking_confirmation/body.html",
            "{% if wallet.apple %}",
            "{% if wallet.google %}",
            "promised without a pass",
        ),
    ],
)
def test_a_rule_finds_what_breaks_it(tmp_path: Path, file: str, old: str, new: str, what: str) -> None:
    copy = Path(shutil.copytree(TEMPLATES, tmp_path / "templates"))
    before = (copy / file).read_text("utf-8")
    assert old in before
    (copy / file).write_text(before.replace(old, new, 1), "utf-8")
    faults = found(copy)
    assert faults
    assert all(what in said for _, said in faults), faults
    line = before[: before.index(old)].count("\n") + 1
    assert all(abs(int(where.removeprefix(f"{file}:")) - line) <= 2 for where, _ in faults), faults


def test_two_ids_with_one_name_in_a_language_are_found(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(TEMPLATES, tmp_path / "templates"))
    path = copy / "_languages/de.po"
    path.write_text(path.read_text("utf-8").replace('"Erstattungsreferenz"', '"Zahlungsreferenz"'), "utf-8")
    assert found(copy) == [("de.po", "two ids are called 'Zahlungsreferenz'")]


def test_the_folder_of_a_variant_is_read_too(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(TEMPLATES, tmp_path / "templates"))
    (copy / "payment_failed@b").mkdir()
    (copy / "payment_failed@b/subject.txt").write_text("Oh no", "utf-8")
    assert found(copy) == [("payment_failed@b/subject.txt:1", "'Oh no' stands outside of the catalogues")]


def test_a_condition_that_knows_the_value_otherwise_is_one(tmp_path: Path) -> None:
    """`{% if x is none %}…{% else %}` and `{% if not x %}…{% else %}` ask for it as well as `{% if x %}` does."""
    copy = Path(shutil.copytree(TEMPLATES, tmp_path / "templates"))
    path = copy / "payment_success/body.txt"
    promise = '{{ _("Please arrive about now.") }}'
    for condition in ("terms.arrive_minutes is none", "not terms.arrive_minutes or not calendar"):
        path.write_text(f"{{% if {condition} %}}\n{{% else %}}\n{promise}\n{{% endif %}}\n", "utf-8")
        assert found(copy) == []
        path.write_text(f"{{% if {condition} %}}\n{promise}\n{{% endif %}}\n", "utf-8")
        assert len(found(copy)) == 1
