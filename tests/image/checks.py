"""What the shipped image and compose file have to show, in the order in which one container's life shows it."""

import json
import os
import re
import signal
from collections.abc import Callable
from datetime import datetime
from typing import Any

from pymongo import MongoClient

from tests.image.project import OURS, CheckFailedError, Project, mails, ready, until
from tests.image.standins import shipped_images
from tests.samples import CONTRACT, sample
from tests.stack.publisher import event, publish

_AMQP = "amqp://movie:movie@127.0.0.1:5672/"
_MIB = 1024 * 1024
_SBOM = "/opt/venv/sbom.cdx.json"
_CPU = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); \
r = resource.getrusage(resource.RUSAGE_CHILDREN); print(r.ru_utime + r.ru_stime)"

Check = Callable[[Project], str]


def build(project: Project) -> str:
    """The Dockerfile as it is."""
    project.compose("build", "--build-arg", "REVISION=0123abc")
    labels = project.engine.inspect(_image(project))["Config"]["Labels"]
    told = {name.rpartition(".")[2]: value for name, value in labels.items() if name.startswith("org.opencontainers.")}
    _equal("the label of the revision", told.get("revision"), "0123abc")
    ours, base = (project.engine.inspect(name)["Size"] for name in (_image(project), shipped_images()["python"]))
    return f"labels {', '.join(sorted(told))}; {(ours - base) / _MIB:.0f} MiB over the base"


def contents(project: Project) -> str:
    """No pip, nothing to compile at the start, and a list of what is in it."""
    looked_for = "import importlib.util as i; print(*map(i.find_spec, ['pip', 'ensurepip']))"
    for python in ("python", "/usr/local/bin/python"):
        found = _in_image(project, python, "-c", looked_for)
        _equal(f"pip and ensurepip of {python} in the image", found.split(), ["None", "None"])
    verbose = _in_image(project, "sh", "-c", "python -v -m notification_service.observability.liveness 2>&1 || true")
    compiled = re.findall(r"code object from '?(/\S+\.py)'?$", verbose, re.MULTILINE)
    cached = re.findall(r"code object from '?/\S+\.pyc'?$", verbose, re.MULTILINE)
    _equal("modules that are compiled at each start", compiled, [])
    listed = json.loads(_in_image(project, "cat", _SBOM))["components"]
    count = "from importlib.metadata import distributions as d; print(len(list(d())))"
    _equal("components in the SBOM, and this program", len(listed) + 1, int(_in_image(project, "python", "-c", count)))
    unfit = [each["name"] for each in listed if not each.get("licenses") or "GPL" in json.dumps(each["licenses"])]
    _equal("components without a licence, or with the GPL's", unfit, [])
    return f"no pip; {len(cached)} modules from bytecode, 0 compiled; an SBOM of {len(listed)} components, none GPL"


def order(project: Project) -> str:
    """`up` as a person types it, and who started after whom."""
    project.compose("up", "--detach")
    until(ready, "/readyz", 60)
    started = _moment(project.container()["State"]["StartedAt"])
    for name, condition in project.services()[OURS]["depends_on"].items():
        state = project.container(name)["State"]
        if condition["condition"] == "service_completed_successfully":
            since = _moment(state["FinishedAt"])
            _equal(f"the exit code of {name}", state["ExitCode"], 0)
        else:
            since = next(_moment(each["End"]) for each in state["Health"]["Log"] if each["ExitCode"] == 0)
        if since > started:
            raise CheckFailedError(f"{OURS} started at {started}, {name} was fit at {since}")
    return f"{OURS} started after all that it waits for"


def healthy(project: Project) -> str:
    """Each part by its own health check."""
    watched = [name for name, each in project.services().items() if not each.get("healthcheck", {}).get("disable")]
    seconds = until(lambda: all(_health(project, name) == "healthy" for name in watched), "all parts healthy", 90)
    return f"{', '.join(sorted(watched))} after {seconds:.0f} s more"


def _health(project: Project, service: str) -> str:
    return str(project.container(service)["State"]["Health"]["Status"])


def confined(project: Project) -> str:
    """What the process may do, as the kernel and the engine have it."""
    status = project.execute("cat", "/proc/1/status", "/proc/self/status").stdout
    none = "0" * 16
    right = {"Uid": "10001", "Gid": "10001", "CapEff": none, "CapBnd": none, "NoNewPrivs": "1"}
    for field, allowed in right.items():
        values = {word for line in re.findall(rf"^{field}:(.*)$", status, re.MULTILINE) for word in line.split()}
        _equal(f"{field} of the process", values, {allowed})
    for place in ("/", "/opt/venv", "/usr/local"):
        said = project.execute("sh", "-c", f"echo > {place}/written", check=False)
        if not re.search("Read-only|cannot create", said.stderr) or not said.returncode:
            raise CheckFailedError(f"{place} of the container can be written to: {said.stdout}{said.stderr}")
    project.execute("sh", "-c", "touch /tmp/written $OUTBOX_DIR/written && rm $OUTBOX_DIR/written")
    host = project.container()["HostConfig"]
    _equal("ReadonlyRootfs", [host["ReadonlyRootfs"]], [True])
    for name in project.services():
        limits = project.container(name)["HostConfig"]
        if not limits["Memory"] or limits["LogConfig"]["Config"].get("max-file") is None:
            raise CheckFailedError(f"{name} may fill the memory or the disk: {limits['Memory']} {limits['LogConfig']}")
    return f"uid 10001, no capabilities, no new privileges, read-only root, {host['Memory'] // _MIB} MiB, logs rotate"


def events(project: Project) -> str:
    """One of each event through the published ports."""
    with MongoClient[dict[str, Any]]("mongodb://127.0.0.1:27017/") as client:
        client["movie_booking"]["users"].insert_one({"_id": "user456", "email": "jane.smith@example.com"})
    seconds = _publish_all(project, 5)
    return f"{len(CONTRACT)} events, 5 mails in {seconds:.1f} s"


def health_checks(project: Project) -> str:
    """What they cost: the compose file runs them every few seconds, for ever. And that they can fail."""
    ours = project.execute("python", "-c", _CPU, "python", "-m", "notification_service.observability.liveness").stdout
    *shell, ping = _test(project, "mongodb")
    timed = f"TIMEFORMAT='%U+%S'; time (set -e; {ping})"
    cost = sum(map(float, project.execute(*shell, timed, service="mongodb").stderr.split("+")))
    if not project.execute(*shell, ping.replace("27017", "27016"), service="mongodb", check=False).returncode:
        raise CheckFailedError("MongoDB's health check passes where nobody listens")
    project.execute("redis-cli", "config", "set", "requirepass", "secret", service="redis")
    refused = project.execute(*_test(project, "redis"), service="redis", check=False)
    project.execute("redis-cli", "-a", "secret", "config", "set", "requirepass", "", service="redis")
    if not refused.returncode:
        raise CheckFailedError(f"Redis' health check passes although Redis answers {refused.stdout.strip()}")
    return (
        f"the service's {float(ours):.2f} s of CPU, MongoDB's {cost:.2f} s; MongoDB's and Redis' fail where they should"
    )


def _test(project: Project, service: str) -> list[str]:
    """The command of the health check, as the engine has it."""
    return list(project.container(service)["Config"]["Healthcheck"]["Test"][1:])


def stop_with_init(project: Project) -> str:
    """`docker compose stop`: SIGTERM through the init."""
    _equal("PID 1", project.execute("cat", "/proc/1/comm").stdout.strip(), "docker-init")
    project.compose("stop", OURS)
    return _ended_well(project)


def kill(project: Project) -> str:
    """SIGKILL: the engine starts it again, and what was sent is not sent again."""
    project.compose("up", "--detach", "--no-build")
    until(ready, "/readyz", 60)
    os.kill(project.container()["State"]["Pid"], signal.SIGKILL)
    seconds = until(lambda: project.container()["RestartCount"] == 1 and ready(), "back after SIGKILL", 60)
    _publish_all(project, 5)
    return f"ready again after {seconds:.1f} s; the same {len(CONTRACT)} events, no further mail"


def stop_without_init(project: Project) -> str:
    """The service itself as PID 1."""
    project.add("init.yml", {"services": {OURS: {"init": False}}})
    project.compose("up", "--detach", "--no-build")
    until(ready, "/readyz", 60)
    name = project.execute("cat", "/proc/1/comm").stdout.strip()
    if name == "docker-init":
        raise CheckFailedError("PID 1 is the init although the file says `init: false`")
    project.engine.run("kill", "--signal", "TERM", project.container()["Id"])
    until(lambda: not project.container()["State"]["Running"], "the end after SIGTERM", 45)
    project.drop("init.yml")
    return f"PID 1 {name}: {_ended_well(project)}"


def wrong_setting(project: Project) -> str:
    """It ends `up`, says its name, and nothing starts again and again."""
    project.add("wrong.yml", {"services": {n: {"environment": {"SMTP_PORT": "many"}} for n in (OURS, "settings")}})
    said = project.compose("up", "--detach", "--no-build", check=False)
    log = project.compose("logs", "settings").stdout
    state = project.container("settings")["State"]
    project.drop("wrong.yml")
    if not said.returncode or "SMTP_PORT" not in log:
        raise CheckFailedError(f"`up` with SMTP_PORT=many ended with {said.returncode}: {said.stderr}{log}")
    _equal("the exit code of settings", state["ExitCode"], 78)
    return "SMTP_PORT=many ends `up` with 78 and its name; the service is not started"


def restore(project: Project) -> str:
    """The stores' volumes copied, everything removed, brought back: what was sent is still known."""
    copies = project.folder / "copies"
    copies.mkdir()
    project.compose("up", "--detach", "--no-build")
    project.compose("stop")
    for store in ("mongodb", "redis"):
        _tar(project, f"{OURS}_{store}:/data:ro", "--create", f"/copies/{store}.tar")
    project.compose("down", "--volumes")
    project.compose("create", "--no-build")
    for store in ("mongodb", "redis"):
        _tar(project, f"{OURS}_{store}:/data", "--extract", f"/copies/{store}.tar")
    project.compose("up", "--detach", "--no-build")
    until(ready, "/readyz", 60)
    _publish_all(project, 0)
    size = sum(each.stat().st_size for each in copies.iterdir())
    return f"{size / _MIB:.1f} MiB of copies; the same {len(CONTRACT)} events after it, no mail"


def _tar(project: Project, volume: str, action: str, file: str) -> None:
    image = project.services()["redis"]["image"]
    mounts = ("--volume", volume, "--volume", f"{project.folder / 'copies'}:/copies")
    command = ("--directory", "/data", "--numeric-owner", action, "--file", file)
    more = (".",) if action == "--create" else ()
    project.engine.run("run", "--rm", "--user", "0", *mounts, "--entrypoint", "tar", image, *command, *more)


def down(project: Project) -> str:
    """`down -v` leaves nothing."""
    project.compose("down", "--volumes")
    left = [project.engine.ask(*each) for each in (("ps", "-aq"), ("volume", "ls", "-q"))]
    _equal("containers and volumes after `down -v`", left, ["", ""])
    networks = project.engine.ask("network", "ls", "--format", "{{.Name}}").split()
    _equal("networks after `down -v`", sorted(networks), ["bridge", "host", "none"])
    return "no container, volume or network is left"


CHECKS: dict[str, Check] = {
    "build": build,
    "contents of the image": contents,
    "order of the start": order,
    "confined": confined,
    "events and mails": events,
    "health checks": health_checks,
    "healthy": healthy,
    "SIGTERM through an init": stop_with_init,
    "SIGKILL": kill,
    "SIGTERM as PID 1": stop_without_init,
    "a wrong setting": wrong_setting,
    "stores from a copy": restore,
    "down": down,
}


def _publish_all(project: Project, expected: int) -> float:
    """Publish one of each; seconds until so many mails lie in the catcher and no event waits."""
    publish(_AMQP, (event(sample(name)) for name in CONTRACT))
    return until(lambda: mails() == expected and _waiting(project) == 0, f"{expected} mails and empty queues", 60)


def _waiting(project: Project) -> int:
    listed = project.execute(
        "rabbitmqctl", "--quiet", "list_queues", "--no-table-headers", "messages", service="rabbitmq"
    )
    return sum(map(int, listed.stdout.split()))


def _ended_well(project: Project) -> str:
    state = project.container()["State"]
    _equal("the exit code after SIGTERM", (state["ExitCode"], state["OOMKilled"]), (0, False))
    return "exit code 0"


def _image(project: Project) -> str:
    return str(project.services()[OURS]["image"])


def _in_image(project: Project, *command: str) -> str:
    program, *arguments = command
    return project.engine.ask("run", "--rm", "--read-only", "--entrypoint", program, _image(project), *arguments)


def _moment(text: str) -> datetime:
    """Docker writes nanoseconds, and a zone or Z."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", text))


def _equal(what: str, found: object, right: object) -> None:
    if found != right:
        raise CheckFailedError(f"{what}: {found!r}, it should be {right!r}")
