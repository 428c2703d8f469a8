"""Each checker made of Python finds what is wrong. For those made of other programs: `make mail-check`."""

import pytest

from tests.mails import bad, checkers
from tests.mails.check import Exempt, accept, exceptions, lines
from tests.mails.mail import MailFinding

pytestmark = pytest.mark.soak

PYTHON = [each for each in bad.BAD if each.checker in checkers.checkers()]


def test_good_mail_passes() -> None:
    assert checkers.check([bad.GOOD.mail("good")]) == []


@pytest.mark.parametrize("each", PYTHON, ids=lambda each: f"{each.checker}.{each.rule}")
def test_bad_mail_is_found(each: bad.Bad) -> None:
    found = checkers.check([each.mail()])
    assert (each.checker, each.rule) in {(finding.checker, finding.rule) for finding in found}


def test_each_rule_has_a_bad_mail() -> None:
    assert {each.checker for each in PYTHON} == set(checkers.checkers())


FOUND = MailFinding("a", "axe", "contrast", "too low")


def test_exception_covers_what_it_names() -> None:
    assert accept([FOUND], [Exempt("axe", "contrast", "known")], whole=True) == []
    assert accept([FOUND], [Exempt("axe", "contrast", "known", mail="b*")], whole=False) == [FOUND]


def test_exception_that_nothing_needs_is_a_finding() -> None:
    exempt = [Exempt("axe", "region", "known")]
    assert [each.checker for each in accept([FOUND], exempt, whole=True)] == ["axe", "exceptions"]
    assert accept([FOUND], exempt, whole=False) == [FOUND]


def test_mails_with_the_same_fault_share_a_line() -> None:
    assert lines([FOUND, MailFinding("b", "axe", "contrast", "too low")]) == ["a and 1 more  axe  contrast  too low"]


def test_exceptions_have_a_reason() -> None:
    assert all(each.reason for each in exceptions())
