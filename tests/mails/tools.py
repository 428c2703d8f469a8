"""The checks that other people's programs make of mails: node's, perl's, and a browser's."""

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.mails.mail import Mail, MailFinding

HERE = Path(__file__).parent
CHECKERS = ("html-validate", "caniemail", "doiuse", "axe", "scroll", "print", "spamassassin")
BATCH = 20


def node(script: str, jobs: object) -> str:
    """What one of the node scripts here prints about these jobs."""
    return _run(["node", script], json.dumps(jobs))


def check(mails: Sequence[Mail], jobs: int) -> list[MailFinding]:
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        batches = [mails[start : start + BATCH] for start in range(0, len(mails), BATCH)]
        work: list[tuple[Callable[[Sequence[Mail], Path], list[MailFinding]], Sequence[Mail]]] = [
            *((_browser, batch) for batch in batches),
            *((_html, batch) for batch in batches),
            (_spamassassin, mails),
        ]
        found = pool.map(lambda task: task[0](task[1], Path(folder)), work)
        return [finding for findings in found for finding in findings]


def _browser(mails: Sequence[Mail], folder: Path) -> list[MailFinding]:
    pages = {mail.name: folder / f"{mail.name}.html" for mail in mails}
    for mail in mails:
        pages[mail.name].write_text(mail.page(), encoding="utf-8")
    return _findings(node("axe.mjs", [{"mail": name, "page": str(page)} for name, page in pages.items()]))


def _html(mails: Sequence[Mail], _: Path) -> list[MailFinding]:
    return _findings(node("html.mjs", [{"mail": mail.name, "html": mail.html} for mail in mails]))


def _spamassassin(mails: Sequence[Mail], folder: Path) -> list[MailFinding]:
    """A rule that counts against a mail is a finding, and so is a sum of them all above 0.0."""
    files = {str(folder / f"{mail.name}.eml"): mail for mail in mails}
    for file, mail in files.items():
        Path(file).write_bytes(mail.raw)
    findings = []
    scores = dict.fromkeys((mail.name for mail in mails), 0.0)
    for line in _run(["perl", "spam.pl", *files], "", TMPDIR=str(folder)).splitlines():
        file, rule, score, what = line.split("\t")
        name = files[file].name
        scores[name] += float(score)
        if float(score) > 0:
            findings.append(MailFinding(mail=name, checker="spamassassin", rule=rule, what=f"{score}: {what}"))
    findings += [
        MailFinding(mail=name, checker="spamassassin", rule="score", what=f"{score:.1f} in all")
        for name, score in scores.items()
        if round(score, 1) > 0
    ]
    return findings


def _findings(output: str) -> list[MailFinding]:
    found: list[dict[str, Any]] = json.loads(output)
    return [MailFinding(**each) for each in found]


def _run(command: Sequence[str], given: str, **environment: str) -> str:
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, check=False, cwd=HERE, env=os.environ | environment
    )
    if done.returncode:
        raise SystemExit(f"{command[1]} failed:\n{done.stderr}")
    return done.stdout
