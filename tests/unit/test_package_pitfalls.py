"""Traps that show in the package itself: in its imports, its templates, and the tests' own settings."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from notification_service.channels.email.template_loading import load
from notification_service.content.branding import Brand
from notification_service.content.profile import SenderProfile
from notification_service.contract.events import Event
from notification_service.delivery.ports.directory import Recipient
from notification_service.foundation.errors import ConfigurationError
from tests.samples import sample
from tests.unit.fakes import TEMPLATES, notification

ROOT = Path(__file__).parents[2]


def paid() -> Event:
    return notification(sample("payment.success"), "payment.success").event


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TEMPLATES, tmp_path / "templates"))


def test_templates_have_the_names_that_are_escaped() -> None:
    names = {path.suffix for path in TEMPLATES.rglob("*") if path.is_file() and "_samples" not in path.parts}
    assert names == {".html", ".txt", ".po", ".css"}  # catalogues and style sheet are no templates


def test_a_word_that_is_not_there_is_an_error_and_not_an_empty_text(copied: Path) -> None:
    body = copied / "payment_success" / "body.html"
    body.write_text(re.sub(r"({% block \w+ %})", r"\1{{ not_there }}", body.read_text("utf-8"), count=1), "utf-8")
    with pytest.raises(ConfigurationError, match=r"body\.html:5: 'not_there' is undefined"):
        load(copied, SenderProfile(Brand("Cinema")))


_LOOK = """
import json, sys
from pathlib import Path
from notification_service.foundation.errors import ConfigurationError
from notification_service.delivery.ports.directory import Recipient
from notification_service.content.branding import Brand
from notification_service.content.profile import SenderProfile
from notification_service.channels.email.template_loading import load
from tests.samples import sample
from tests.unit.fakes import notification
renderer = load(Path(sys.argv[1]), SenderProfile(Brand("Cinema")))
event = notification(sample("payment.success"), "payment.success").event
touched = []
sys.addaudithook(lambda name, args: touched.append([name, str(args)]) if name in ("open", "socket.connect") else None)
mail = renderer.render("payment_success", event, Recipient("a@b.example"))
print(json.dumps([touched, mail.html]))
"""


def test_inlining_opens_no_file_and_no_connection(copied: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.css"
    secret.write_text("p { color: #abcdef }")
    body = next(copied.glob("_base/*.html"))
    links = f'<link rel="stylesheet" href="file://{secret}"><link rel="stylesheet" href="http://127.0.0.1:9/x.css">'
    text = body.read_text("utf-8")
    assert "</head>" in text
    body.write_text(text.replace("</head>", f"{links}</head>"), "utf-8")
    done = subprocess.run(
        [sys.executable, "-c", _LOOK, str(copied)], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )
    touched, html = json.loads(done.stdout)
    assert [each for each in touched if "secret" in each[1] or each[0] == "socket.connect"] == []
    assert "#abcdef" not in html


def test_what_is_for_the_dark_is_kept() -> None:
    mail = load(TEMPLATES, SenderProfile(Brand("Cinema"))).render("payment_success", paid(), Recipient("a@b.example"))
    assert "prefers-color-scheme: dark" in mail.html


def test_one_module_imports_motor() -> None:
    knowing = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "notification_service").rglob("*.py") if _knows(path)
    }
    assert knowing == {"notification_service/stores/mongo/client.py"}


def _knows(path: Path) -> bool:
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    froms = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return any(name.partition(".")[0] == "motor" for name in froms | plain)


def test_fixtures_and_tests_share_one_loop() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["pytest"]["ini_options"]
    assert settings["asyncio_default_fixture_loop_scope"] == "session"
    assert settings["asyncio_default_test_loop_scope"] == "session"
