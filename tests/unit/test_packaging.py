"""What is shipped: the wheel, the image's recipe, the compose file, the lock files."""

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from notification_service import __version__
from notification_service.notices import TEMPLATES

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements.build.lock", "tests/requirements.lock")
COPYLEFT = ("secantusdb",)


# ── the wheel ────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    _pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder), str(ROOT))
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_every_template_and_the_samples(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for template in TEMPLATES:
        for part in ("subject.txt", "body.txt", "body.html"):
            assert f"notification_service/templates/{template}/{part}" in names
    assert any(name.startswith("notification_service/templates/_samples/") for name in names)
    assert "notification_service/py.typed" in names
    assert not [name for name in names if not name.startswith("notification_service")], "nothing else is in it"


def test_the_installed_wheel_runs_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    target, outbox = tmp_path / "target", tmp_path / "outbox"
    _pip("install", "--no-deps", "--no-index", "--target", str(target), str(wheel))
    command = [sys.executable, "-m", "notification_service", "demo", "--outbox", str(outbox)]
    assert f"{len(TEMPLATES)} mails for" in _run(command, tmp_path, target)
    assert len(list(outbox.glob("*.eml"))) == len(TEMPLATES)
    where = _run([sys.executable, "-c", "import notification_service as it; print(it.__file__)"], tmp_path, target)
    assert where.startswith(str(target))


def test_the_version_is_said_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == __version__
    compose = _compose()
    assert compose["services"]["notification-service"]["image"] == f"notification-service:{__version__}"
    assert "## Unreleased" in (ROOT / "CHANGELOG.md").read_text("utf-8")


# ── the lock files ───────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_file_pins_hashes_and_names_no_place(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert not re.search(r"://|^-|\s@\s|/opt|/home|/tmp|/root", text, re.MULTILINE)
    for requirement in re.findall(r"^[a-z0-9].*?(?=^[a-z0-9]|\Z)", text, re.MULTILINE | re.DOTALL):
        assert re.match(r"[a-z0-9._-]+==\S+", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement


def test_the_lock_files_agree_and_nothing_copyleft_is_shipped() -> None:
    runtime, build, tests = (_pins(name) for name in LOCKS)
    assert runtime.items() <= tests.items()
    assert build.items() <= tests.items()
    assert not set(COPYLEFT) & (set(runtime) | set(build))
    assert set(COPYLEFT) <= set(tests)


ADVISORIES = {
    "aiosmtplib": "5.1.3",  # responses out of step, commands in addresses
    "cryptography": "48.0.1",  # GHSA-537c-gmf6-5ccf, CVE-2026-39892, CVE-2026-34073, CVE-2026-26007
    "h11": "0.16.0",  # CVE-2025-43859
    "idna": "3.15",  # CVE-2026-45409
    "jinja2": "3.1.6",  # CVE-2025-27516
    "pydantic-settings": "2.14.2",  # GHSA-4xgf-cpjx-pc3j
    "pygments": "2.20.0",  # CVE-2026-4539
    "pyjwt": "2.13.0",  # CVE-2026-48524, CVE-2026-32597
    "pymongo": "4.18.1",  # CVE-2026-88029
    "python-dotenv": "1.2.2",  # CVE-2026-28684
    "starlette": "1.3.1",  # CVE-2026-48710, and limits of forms that were not held
}
"""The first release in which what is known of it is mended. `make audit` asks for what became known since."""


def test_no_release_with_a_known_hole_is_allowed_or_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    direct = {each.name: each.specifier for each in map(Requirement, project["dependencies"])}
    pinned = {name.partition(" ")[0]: version for name, version in _pins("requirements.lock").items()}
    assert ADVISORIES.keys() <= pinned.keys(), "one is no dependency any more"
    for name, mended in ADVISORIES.items():
        assert Version(pinned[name]) >= Version(mended), name
        floors = [Version(each.version) for each in direct.get(name, ()) if each.operator == ">="]
        assert name not in direct or floors >= [Version(mended)], f"{name}: its floor allows what {mended} mends"


# ── the image ────────────────────────────────────────────────────────────────────────────────────────
def test_the_image_runs_as_nobody_and_hears_the_signal() -> None:
    last_stage = _dockerfile().split("\nFROM ")[-1]
    users = re.findall(r"^USER (\S+)$", last_stage, re.MULTILINE)
    assert users == ["10001:10001"]
    for word in ("ENTRYPOINT", "CMD"):
        found = re.findall(rf"^{word} (.+)$", last_stage, re.MULTILINE)
        assert len(found) == 1
        assert isinstance(json.loads(found[0]), list), f"{word} in the shell form would keep SIGTERM from arriving"
    assert "STOPSIGNAL SIGTERM" in last_stage


def test_the_image_looks_after_itself_without_curl() -> None:
    recipe = _dockerfile()
    assert re.search(r'^HEALTHCHECK .*CMD \["python", "-m", "notification_service.ops.alive"\]$', recipe, re.MULTILINE)
    assert "curl" not in recipe
    assert "wget" not in recipe
    assert recipe.count("--require-hashes") == recipe.count("pip install -") - recipe.count("pip install --no-deps")


def test_the_image_is_made_of_files_that_are_there_and_let_in() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.+) \S+$", _dockerfile(), re.MULTILINE) for name in line.split()
    }
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)


def _dockerfile() -> str:
    """The recipe with each instruction on one line, and without comments."""
    lines = (ROOT / "Dockerfile").read_text("utf-8").splitlines()
    return re.sub(r" *\\\n *", " ", "\n".join(line for line in lines if not line.startswith("#")))


# ── compose ──────────────────────────────────────────────────────────────────────────────────────────
def _compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    return loaded


def test_every_published_port_is_open_to_this_machine_only() -> None:
    ports = [port for service in _compose()["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(str(port).startswith("127.0.0.1:") for port in ports)


def test_a_mail_server_in_env_is_all_that_it_takes_to_leave_the_catcher() -> None:
    """Its port and its TLS follow from it, so nothing else may be set for the catcher's sake."""
    environment = _compose()["services"]["notification-service"]["environment"]
    assert environment["SMTP_SERVER"] == "${SMTP_SERVER:-mailcatcher}"
    assert not {"SMTP_PORT", "SMTP_SECURITY"} & set(environment)


def test_every_part_is_watched_and_waited_for() -> None:
    services = _compose()["services"]
    assert all(service["healthcheck"]["test"][0] == "CMD" for service in services.values())
    waited = services["notification-service"]["depends_on"]
    assert set(waited) == set(services) - {"notification-service"}
    assert all(each == {"condition": "service_healthy"} for each in waited.values())


def test_the_service_may_do_little_and_may_finish() -> None:
    service = _compose()["services"]["notification-service"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "/tmp" in service["tmpfs"]  # noqa: S108 - the container's own
    assert int(service["stop_grace_period"].removesuffix("s")) > 25, "longer than SHUTDOWN_GRACE"
    volumes = {name.partition(":")[0] for each in _compose()["services"].values() for name in each.get("volumes", [])}
    assert volumes == set(_compose()["volumes"])


def _pins(name: str) -> dict[str, str]:
    found = re.findall(r"^([a-z0-9._-]+)==(\S+)(?: ; (.+?))? \\$", (ROOT / name).read_text("utf-8"), re.MULTILINE)
    return {f"{package} {marker}".strip(): version for package, version, marker in found}


def _pip(*arguments: str) -> None:
    _run([sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments])


def _run(command: list[str], cwd: Path = ROOT, path: Path | None = None) -> str:
    environment = os.environ if path is None else {**os.environ, "PYTHONPATH": str(path)}
    ran = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=110, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout
