"""A private RabbitMQ node on its own ports and folder: of this system, of another Debian, or from Docker."""

import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from tests.stack import debian, trixie
from tests.stack.processes import Part, PartFailedError, exchange, free_port

PROGRAMS = Path("/usr/lib/rabbitmq/bin")
IMAGE = "rabbitmq:4-alpine"
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
CONNECTION_START = b"\x01\x00\x00"
_VERSION = re.compile(rb"\x07versionS....([\d.]+)", re.DOTALL)
_SET = """ok = application:set_env(rabbit, {key}, {value}),
    ok = case persistent_term:get({key}, none) of none -> ok; _ -> persistent_term:put({key}, {value}) end"""
"""RabbitMQ 4 reads some of its settings once, and keeps them there."""
CHOICE = "STACK_RABBITMQ"
"""`trixie` in the environment has RabbitMQ 4 from Debian 13 for the tests, whatever this machine has."""


class _System:
    """Where the programs are: this machine, or a tree of `trixie`. `home`: how they see the node's folder."""

    def __init__(self, folder: Path, tree: Path | None) -> None:
        self._folder = folder
        self._tree = tree
        self.home = trixie.FOLDER if tree else folder

    def running(self, *command: str) -> Sequence[str]:
        return trixie.running_in(self._tree, self._folder, *command) if self._tree else command


class _Epmd(Part):
    """Erlang's port mapper as a child of ours: the one that a node starts by itself would outlive it."""

    name = "epmd"

    def __init__(self, folder: Path, system: "_System") -> None:
        super().__init__(folder)
        self.port = free_port()
        self._system = system

    def command(self) -> Sequence[str]:
        return self._system.running("epmd", "-port", str(self.port), "-address", "127.0.0.1")

    def answers(self) -> bool:
        return exchange(self.port, b"\x00\x01n") != b""


class Broker(Part):
    """What the tests may ask of a RabbitMQ, wherever it runs."""

    name = "rabbitmq"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.vhost = "/"

    @property
    def url(self) -> str:
        return self.url_of(self.vhost)

    def url_of(self, vhost: str) -> str:
        """Return the AMQP address of a virtual host."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{quote(vhost, safe='')}"

    def answers(self) -> bool:
        return exchange(self.port, PROTOCOL_HEADER, timeout=5).startswith(CONNECTION_START)

    @property
    def version(self) -> tuple[int, ...]:
        """As the node tells it to everybody who connects."""
        told = _VERSION.search(exchange(self.port, PROTOCOL_HEADER, timeout=5))
        if told is None:
            raise PartFailedError(f"{self.name} does not tell its version")
        return tuple(map(int, told[1].split(b".")))

    @property
    def largest_message(self) -> int:
        """Bytes that it takes as it is installed."""
        return (16 if self.version >= (4,) else 128) * 2**20

    def ctl(self, *arguments: str) -> str:
        """Run `rabbitmqctl` against this node and return what it prints."""
        raise NotImplementedError

    def unacked(self, vhost: str) -> dict[str, int]:
        """How many messages each queue has handed out; a quorum queue counts them every few seconds."""
        columns = ("name", "messages_unacknowledged")
        lines = self.ctl("list_queues", "-p", vhost, "--no-table-headers", *columns).splitlines()
        return {name: int(count) for name, count in (line.split("\t") for line in lines if line)}

    def connections(self) -> int:
        """How many clients are connected."""
        return len(self.ctl("list_connections", "--no-table-headers", "name").splitlines())

    def sync(self) -> None:
        """Write down what was declared so far: by itself the node does so seconds later, and a kill would undo it."""
        self.ctl("eval", "ok = mnesia:sync_log().")

    def tell(self, **settings: int) -> None:
        """Change settings of the running node (not its file); what they govern may look at them only when it begins."""
        self.ctl("eval", _told(settings))

    def add_vhost(self, name: str) -> str:
        """Create an empty virtual host in which guest may do everything; return its AMQP address."""
        self.ctl("add_vhost", name)
        self.ctl("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
        return self.url_of(name)

    def delete_vhost(self, name: str) -> None:
        """Drop a virtual host with its queues, and close the connections to it."""
        self.ctl("delete_vhost", name)

    def reset_vhost(self, name: str) -> str:
        """Drop what a virtual host holds and return the address of the empty one."""
        self.delete_vhost(name)
        return self.add_vhost(name)


class LocalNode(Broker):
    """A node of a package: its Erlang machine is our direct child, so a kill is a real kill.

    `tree`: the Debian whose package it is; None for this machine's.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None, tree: Path | None = None) -> None:
        super().__init__(folder)
        self.settings = dict(settings or {})
        self.plugins: Sequence[str] = ()
        self._distribution_port = free_port()
        self._node = f"stack-{uuid.uuid4().hex[:12]}@localhost"
        self._system = _System(folder, tree)
        self._epmd = _Epmd(folder, self._system)

    def command(self) -> Sequence[str]:
        return self._system.running(str(PROGRAMS / "rabbitmq-server"))

    def environment(self) -> Mapping[str, str]:
        home = self._system.home
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(home),
            "RUNNING_UNDER_SYSTEMD": "true",  # makes the start script exec Erlang instead of waiting beside it
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "ERL_EPMD_PORT": str(self._epmd.port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "enabled_plugins").write_text(f"[{','.join(self.plugins)}].\n")
        lines = (f"{key} = {value}\n" for key, value in self.settings.items())
        (self.folder / "rabbitmq.conf").write_text("".join(lines))
        self._epmd.start()
        self._epmd.wait_ready()  # a node that finds no port mapper would start one that nobody ends
        super().start()

    def kill(self) -> None:
        super().kill()
        self._epmd.kill()

    def ctl(self, *arguments: str) -> str:
        return self._run(str(PROGRAMS / "rabbitmqctl"), "--quiet", *arguments)

    def unacked(self, vhost: str) -> dict[str, int]:
        answer = self._ask(
            f"[{{element(4, amqqueue:get_name(Q)), M}} || Q <- rabbit_amqqueue:list(<<{vhost!r}>>), "
            f"{{_, M}} <- rabbit_amqqueue:info(Q, [messages_unacknowledged])].\n"
        )
        # erl_call writes a binary as its numbers.
        found = re.findall(r"#Bin<([\d,]+)>, (\d+)", answer)
        return {bytes(map(int, name.split(","))).decode(): int(count) for name, count in found}

    def connections(self) -> int:
        # rabbitmqctl boots a node of its own, which beside a busy broker may take more than a minute.
        answer = self._ask("length(rabbit_networking:connections()).\n")
        if not (found := re.search(r"\{ok, (\d+)\}", answer)):
            raise PartFailedError(f"{self.name} answered {answer!r} when asked for its connections")
        return int(found[1])

    def sync(self) -> None:
        self._call("ok = mnesia:sync_log().\n")

    def tell(self, **settings: int) -> None:
        self._call(_told(settings))

    def add_vhost(self, name: str) -> str:
        # Erlang's own caller is there in a hundredth of the time that rabbitmqctl needs to boot, twice.
        self._call(
            f"ok = rabbit_vhost:add(<<{name!r}>>, <<'stack'>>),"
            f"ok = rabbit_auth_backend_internal:set_permissions("
            f"<<'guest'>>, <<{name!r}>>, <<'.*'>>, <<'.*'>>, <<'.*'>>, <<'stack'>>).\n"
        )
        return self.url_of(name)

    def delete_vhost(self, name: str) -> None:
        self._call(f"rabbit_vhost:delete(<<{name!r}>>, <<'stack'>>), ok.\n")

    def _call(self, expression: str) -> None:
        answer = self._ask(expression)
        if "{ok, ok}" not in answer:
            raise PartFailedError(f"{self.name} answered {answer!r} to {expression}")

    def _ask(self, expression: str) -> str:
        cookie = (self.folder / ".erlang.cookie").read_text()
        return self._run("erl_call", "-sname", self._node, "-c", cookie, "-e", stdin=expression.replace("'", '"'))

    def _run(self, *command: str, stdin: str = "") -> str:
        done = subprocess.run(
            self._system.running(*command),
            env=dict(self.environment()),
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise PartFailedError(f"{' '.join(command)} failed: {done.stderr or done.stdout}")
        return done.stdout


class Container(Broker):
    """The official image through the Docker client; signals reach the container, not the client."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(folder)
        self.settings = dict(settings or {})
        self._container = f"notification-stack-{uuid.uuid4().hex[:12]}"

    def command(self) -> Sequence[str]:
        published = f"127.0.0.1:{self.port}:5672"
        conf = f"{self.folder / 'rabbitmq.conf'}:/etc/rabbitmq/conf.d/90-stack.conf:ro"
        return ("docker", "run", "--rm", "--name", self._container, "-p", published, "-v", conf, IMAGE)

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        # Through a published port guest does not come from the container's loopback.
        lines = ("loopback_users = none\n", *(f"{key} = {value}\n" for key, value in self.settings.items()))
        (self.folder / "rabbitmq.conf").write_text("".join(lines))
        super().start()

    def terminate(self) -> None:
        self._docker("stop", "--time", "10", self._container)

    def kill(self) -> None:
        self._docker("rm", "--force", self._container)
        super().kill()

    def pause(self) -> None:
        self._docker("pause", self._container)

    def resume(self) -> None:
        self._docker("unpause", self._container)

    def ctl(self, *arguments: str) -> str:
        done = self._docker("exec", self._container, "rabbitmqctl", "--quiet", *arguments)
        if done.returncode:
            raise PartFailedError(f"rabbitmqctl {' '.join(arguments)} failed: {done.stderr}")
        return done.stdout

    def _docker(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(("docker", *arguments), capture_output=True, text=True, check=False)


def _told(settings: Mapping[str, int]) -> str:
    return f"{', '.join(_SET.format(key=key, value=value) for key, value in settings.items())}.\n"


def find_broker(folder: Path, settings: Mapping[str, str] | None = None) -> Broker:
    """Return a broker from what this machine has; install the package where that is possible."""
    if choice := os.environ.get(CHOICE):
        if choice != trixie.SUITE:
            raise PartFailedError(f"{CHOICE}={choice}: unset it, or set it to {trixie.SUITE}")
        return LocalNode(folder, settings, trixie.tree("rabbitmq", ["rabbitmq-server"]))
    if debian.may_install():
        # 1: start no system node
        problem = debian.install("rabbitmq-server", _installed, RUNLEVEL="1")
        if problem:
            sys.stderr.write(f"{problem}\n")
    if _installed():
        return LocalNode(folder, settings)
    if _docker_runs():
        return Container(folder, settings)
    raise PartFailedError(
        "RabbitMQ is missing: install it (apt-get install --no-install-recommends rabbitmq-server), "
        "run this as root where apt-get exists, or start Docker."
    )


def _installed() -> bool:
    return (PROGRAMS / "rabbitmq-server").exists()


def _docker_runs() -> bool:
    if not shutil.which("docker"):
        return False
    return subprocess.run(("docker", "info"), capture_output=True, check=False).returncode == 0
