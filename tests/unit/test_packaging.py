"""What is shipped: the wheel, the image's recipe, the compose file, the lock files."""

import json
import os
import re
import struct
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

import bson
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from notification_service import __version__
from notification_service.contract.notification_rules import TEMPLATES

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements.build.lock", "tests/requirements.lock")
COPYLEFT = ("secantusdb",)
PERMISSIVE = re.compile(r"\b(MIT|MIT-0|BSD|Apache|ISC|PSF|Unlicense|MPL|Mozilla Public License)\b")


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


def test_the_version_is_defined_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == __version__
    compose = _compose()
    assert compose["services"]["notification-service"]["image"] == f"notification-service:{__version__}"
    assert f'org.opencontainers.image.version="{__version__}"' in _dockerfile()
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
    assert runtime <= tests
    assert build <= tests
    assert not set(COPYLEFT) & {name for name, _ in runtime | build}
    assert set(COPYLEFT) <= {name for name, _ in tests}


def test_what_is_shipped_has_a_licence_that_lets_it_be_shipped() -> None:
    here: dict[str, Distribution] = {canonicalize_name(each.name): each for each in distributions()}
    shipped = {name for name, _ in _pins("requirements.lock")} & set(here)
    assert len(shipped) > 40, "the others are of other systems or older Pythons"
    assert {name: said for name in shipped if not PERMISSIVE.search(said := _licence(here[name]))} == {}
    assert {name: said for name in shipped if "GPL" in (said := _licence(here[name]))} == {}
    assert all("GPL" in _licence(here[name]) for name in COPYLEFT), "the GPL is seen where it is"


def _licence(distribution: Distribution) -> str:
    """By the name that SPDX has for it, or, of older packages, what they say in their own words."""
    told = distribution.metadata
    (licence,) = told.get_all("License-Expression") or [""]
    classified = [each for each in told.get_all("Classifier") or [] if each.startswith("License ::")]
    return licence or "; ".join((*classified, *(text.partition("\n")[0] for text in told.get_all("License") or [])))


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
    pinned = {name.partition(" ")[0]: version for name, version in _pins("requirements.lock")}
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
    assert re.search(
        r'^HEALTHCHECK .*CMD \["python", "-m", "notification_service.observability.liveness"\]$', recipe, re.MULTILINE
    )
    assert "curl" not in recipe
    assert "wget" not in recipe
    fetched = [
        each for each in re.findall(r"\S+pip (?:--python \S+ )?install [^&]*", recipe) if "--no-index" not in each
    ]
    assert fetched
    assert all("--require-hashes" in each for each in fetched), fetched


def test_the_image_starts_from_bytecode_and_has_no_pip() -> None:
    build, last_stage = _dockerfile().split("\nFROM ${BASE}\n")
    assert "python -m venv --without-pip /opt/venv" in build
    assert "-m pip --disable-pip-version-check uninstall" in last_stage
    assert "-m compileall" in last_stage
    assert re.search(r"cyclonedx-py environment .* --output-file /opt/venv/\S+ /opt/venv", build)
    assert last_stage.index("RUN python") < last_stage.index("COPY --from=build /opt/venv"), "a change of ours keeps it"


def test_where_pip_fetches_from_is_no_matter_of_the_image() -> None:
    """It is a secret of the build, which no layer keeps."""
    recipe = _dockerfile()
    (fetching,) = re.findall(r"^RUN .*requirements\.lock.*$", recipe, re.MULTILINE)
    assert "--mount=type=secret,id=pip.conf,target=/etc/pip.conf" in fetching
    assert not re.search(r"index-url|trusted-host|https?://", recipe)


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
    waited = services["notification-service"]["depends_on"]
    always = {name for name, each in services.items() if "profiles" not in each}
    assert set(waited) == always - {"notification-service"}
    assert waited.pop("settings") == {"condition": "service_completed_successfully"}
    assert services.pop("settings")["healthcheck"] == {"disable": True}
    assert all(service["healthcheck"]["test"][0] == "CMD" for service in services.values())
    assert all(each == {"condition": "service_healthy"} for each in waited.values())


def test_a_wrong_setting_is_found_once_and_an_outage_is_outlived() -> None:
    """No policy of restarts knows 78 from 69, and one with a limit does not come back after a reboot."""
    services = _compose()["services"]
    once, service = services["settings"], services["notification-service"]
    assert once["restart"] == "no"
    assert {each["restart"] for name, each in services.items() if name != "settings"} == {"unless-stopped"}
    assert [once[same] for same in ("image", "environment", "env_file")] == [
        service[same] for same in ("image", "environment", "env_file")
    ]


def test_our_image_is_built_and_never_asked_of_a_registry() -> None:
    services = _compose()["services"]
    ours = services["notification-service"]
    assert ours["pull_policy"] == "build"
    assert {name for name, each in services.items() if each["image"] == ours["image"]} == {
        "notification-service",
        "callbacks",
        "settings",
    }


def test_no_part_can_fill_the_disk_with_its_log_or_take_all_memory() -> None:
    for name, service in _compose()["services"].items():
        assert service["logging"]["driver"] == "json-file", name
        assert set(service["logging"]["options"]) == {"max-size", "max-file"}, name
        assert re.fullmatch(r"\d+[mg]", service["mem_limit"]), name


def test_redis_refuses_before_its_container_is_killed() -> None:
    service = _compose()["services"]["redis"]
    allowed = service["command"][service["command"].index("--maxmemory") + 1]
    assert int(allowed.removesuffix("mb")) * 2 < int(service["mem_limit"].removesuffix("m")), "a rewrite copies it"
    assert "-e" in service["healthcheck"]["test"], "without it redis-cli ends with 0 on an error"


def test_the_question_to_mongodb_is_a_ping_of_its_protocol() -> None:
    service = _compose()["services"]["mongodb"]
    assert service["environment"]["HOME"] == "/tmp"  # noqa: S108 - the container's own
    *_, script = service["healthcheck"]["test"]
    told = subprocess.run(
        ["bash", "-c", script.replace("$$", "$").split("&&")[1].replace(">&3", "")], capture_output=True, check=True
    ).stdout
    length, _, _, operation, flags, kind = struct.unpack_from("<iiiiIB", told)
    assert (length, operation, flags, kind) == (len(told), 2013, 0, 0)
    assert bson.decode(told[21:]) == {"ping": 1, "$db": "admin"}
    assert bson.encode({"ok": 1.0})[4:-1].hex() in script


def test_the_service_may_do_little_and_may_finish() -> None:
    service = _compose()["services"]["notification-service"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "/tmp" in service["tmpfs"]  # noqa: S108 - the container's own
    assert int(service["stop_grace_period"].removesuffix("s")) > 25, "longer than SHUTDOWN_GRACE"
    volumes = {name.partition(":")[0] for each in _compose()["services"].values() for name in each.get("volumes", [])}
    assert volumes == set(_compose()["volumes"])


def _pins(name: str) -> set[tuple[str, str]]:
    """Each package and its version; for which Python or system differs by who else needs it."""
    return set(re.findall(r"^([a-z0-9._-]+)==(\S+)", (ROOT / name).read_text("utf-8"), re.MULTILINE))


def _pip(*arguments: str) -> None:
    _run([sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments])


def _run(command: list[str], cwd: Path = ROOT, path: Path | None = None) -> str:
    environment = os.environ if path is None else {**os.environ, "PYTHONPATH": str(path)}
    ran = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=110, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout
