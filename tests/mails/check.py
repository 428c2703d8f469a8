"""Judges mails by other people's tools: `python -m tests.mails.check --eml DIR` (make mail-check)."""

import argparse
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tests.mails import bad, checkers, programs, tools
from tests.mails.mail import Mail, MailFinding, read

HERE = Path(__file__).parent
SAMPLES = HERE.parents[1] / "templates" / "_samples"


@dataclass(frozen=True)
class Exempt:
    """What is known and accepted, and why."""

    checker: str
    rule: str
    reason: str
    mail: str = "*"

    def covers(self, finding: MailFinding) -> bool:
        same = (finding.checker, finding.rule) == (self.checker, self.rule)
        return same and fnmatchcase(finding.mail, self.mail)


def exceptions() -> list[Exempt]:
    with (HERE / "exceptions.toml").open("rb") as file:
        listed: list[dict[str, Any]] = tomllib.load(file)["exceptions"]
    return [Exempt(checker=checker, **each) for each in listed for checker in each.pop("checkers")]


def gather(folders: Sequence[Path], only: Sequence[str], languages: Sequence[str] = ()) -> list[Mail]:
    """The mails of the first folder by their names, those of the others by name@folder.

    `languages`: only mails in one of these; all without it.
    """
    first, *others = folders
    named = [replace(mail, name=f"{mail.name}@{folder.name}") for folder in others for mail in read(folder, only=only)]
    found = read(first, only=only) + named
    return [mail for mail in found if not languages or _language(mail) in languages]


def _language(mail: Mail) -> str:
    return mail.name.partition("@")[0].rpartition(".")[2]


def judge(mails: Sequence[Mail], jobs: int) -> list[MailFinding]:
    return tools.check(mails, jobs) + checkers.check(mails, SAMPLES)


def unseen(mails: Sequence[Mail]) -> list[MailFinding]:
    """A checker that none of the mails has anything for has passed none of them."""
    there = {
        "facts": any(mail.markup.facts for mail in mails),
        "links": any(mail.markup.links for mail in mails),
        "json-ld": any(mail.markup.scripts for mail in mails),
        "calendar": any(part.get_content_type() == "text/calendar" for mail in mails for part in mail.parts),
        "qr": any(mail.images for mail in mails),
    }
    return [MailFinding("-", name, "unseen", "no mail has any") for name, any_ in there.items() if not any_]


def accept(found: Iterable[MailFinding], exempt: Sequence[Exempt], *, whole: bool) -> list[MailFinding]:
    """What is on no list. An exception that nothing needs any more is a finding too, where all mails were seen."""
    used: set[Exempt] = set()
    left = []
    for finding in found:
        matching = [each for each in exempt if each.covers(finding)]
        used.update(matching)
        if not matching:
            left.append(finding)
    unused = [each for each in exempt if each not in used] if whole else []
    return left + [MailFinding("-", "exceptions", each.rule, f"nothing of {each.checker} needs it") for each in unused]


def lines(found: Iterable[MailFinding]) -> list[str]:
    """A line for each thing found: several mails share one that says the same of them all."""
    mails: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for each in found:
        mails[each.checker, each.rule, each.what].append(each.mail)
    return [
        f"{names[0]}{f' and {len(names) - 1} more' if names[1:] else ''}  {checker}  {rule}  {' '.join(what.split())}"
        for (checker, rule, what), names in mails.items()
    ]


def table(mails: Sequence[Mail], found: Sequence[MailFinding]) -> list[str]:
    rows = ["checker         passed  failed"]
    for checker in (*tools.CHECKERS, *checkers.checkers()):
        failed = len({each.mail for each in found if each.checker == checker})
        rows.append(f"{checker:<14}  {len(mails) - failed:>6}  {failed:>6}")
    return rows + programs.skipped()


def self_test(jobs: int) -> list[str]:
    """A mail for each foreign checker to object to, and one for none. pytest does the same for those in Python."""
    mails = {f"{each.checker}.{each.rule}": each.mail() for each in bad.BAD if each.checker in tools.CHECKERS}
    found = accept(judge([bad.GOOD.mail("good"), *mails.values()], jobs), exceptions(), whole=False)
    seen = {(each.mail, f"{each.checker}.{each.rule}") for each in found}
    return [
        *(f"{name} was not found" for name in mails if (name, name) not in seen),
        *(f"{checker} has no bad mail" for checker in tools.CHECKERS if not any(checker in name for name in mails)),
        *lines(each for each in found if each.mail == "good"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mails.check", description=__doc__)
    parser.add_argument(
        "--eml", type=Path, action="append", default=[], help="a folder of *.eml files; may be repeated"
    )
    parser.add_argument("--only", action="append", default=[], help="only mails whose names start so")
    parser.add_argument("--language", action="append", default=[], help="only mails in this language")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--self-test", action="store_true", help="see each checker find what is wrong")
    asked = parser.parse_args()
    if not asked.eml and not asked.self_test:
        parser.error("--eml DIR or --self-test")

    wrong = self_test(asked.jobs) if asked.self_test else []
    if asked.eml:
        mails = gather(asked.eml, asked.only, asked.language)
        if not mails:
            parser.error("there is no such mail")
        whole = not asked.only and not asked.language
        found = accept(judge(mails, asked.jobs) + (unseen(mails) if whole else []), exceptions(), whole=whole)
        print(*table(mails, found), sep="\n")  # noqa: T201
        wrong += lines(found)
    print(*(wrong or ["nothing to object to"]), sep="\n")  # noqa: T201
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
