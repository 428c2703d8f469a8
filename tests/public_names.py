"""Writes the list of public names anew: `make contract`. Whoever runs the service depends on each of them."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main
from prometheus_client import CollectorRegistry

from notification_service import settings
from notification_service.broker import topology
from notification_service.cli.main import app
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.events import EVENT_TYPES
from notification_service.contract.notification_rules import TEMPLATES
from notification_service.contract.outcomes import ParkReason, RejectReason, SkipReason, Status
from notification_service.delivery.observer import Stage
from notification_service.delivery.retries import DEFAULT_DELAYS_S
from notification_service.foundation import errors
from tests import schemas

LIST = Path(__file__).with_suffix(".json")
PACKAGE = schemas.PACKAGE

Names = dict[str, list[str]]


def collect(registry: CollectorRegistry) -> Names:
    """Return the public names of each kind, sorted. `registry`: the metrics of a service."""
    log = json.loads(schemas.LOG.read_text("utf-8"))
    record = json.loads(schemas.RECORD.read_text("utf-8"))
    stores = PACKAGE / "stores"
    found = {
        "settings": _settings(),
        "commands": _commands(),
        "exit codes": (f"{name} {code}" for name, code in vars(errors).items() if name.startswith("EXIT_")),
        "event types": EVENT_TYPES,
        "templates": TEMPLATES,
        "statuses, outcomes and reasons": (*_outcomes(), *record["properties"]["outcome"]["enum"]),
        "AMQP queues": (queue.name for queue in (*_topology().fed, *_topology().own)),
        "AMQP headers and arguments": _texts(PACKAGE / "broker", r"x-[a-z-]+[a-z]-?"),
        "Redis keys": _texts(stores / "redis", r"notification(-[a-z]+)*:|notification-probe"),
        "fields of a claim in Redis": _fields_of_claims(),
        "MongoDB collections": _texts(PACKAGE, r"notification_(logs|facts|logins|suppressions)|users|bookings"),
        "fields of a record in MongoDB": _fields(record),
        "metrics": _metrics(registry),
        "stages in metrics and traces": Stage,
        "log events": (each["if"]["properties"]["event"]["const"] for each in log["then"]["allOf"]),
        "fields of log lines": log["properties"],
    }
    return {kind: sorted({str(name) for name in names}) for kind, names in found.items()}


def written(names: Names) -> str:
    return json.dumps(names, indent=1, ensure_ascii=False) + "\n"


def _settings() -> Iterator[str]:
    for field in settings.Settings.model_fields.values():
        part: Any = field.annotation
        prefix = part.model_config.get("env_prefix", "")
        yield from (f"{prefix}{name}".upper() for name in part.model_fields)


def _commands() -> Iterator[str]:
    """Each command, and each with each of its options and arguments."""
    yield from _command(typer.main.get_command(app), "notification-service")


def _command(command: Any, path: str) -> Iterator[str]:  # noqa: ANN401 - its classes are typer's secret
    yield path
    for parameter in command.params:
        yield from (f"{path} {name}" for name in (*parameter.opts, *parameter.secondary_opts))
    for name, each in getattr(command, "commands", {}).items():
        yield from _command(each, f"{path} {name}")


def _outcomes() -> Iterator[str]:
    yield from (f"status {each}" for each in Status)
    for outcome, reasons in (("skipped", SkipReason), ("rejected", RejectReason), ("parked", ParkReason)):
        yield from (f"{outcome} {each}" for each in reasons)


def _topology() -> topology.Topology:
    default = settings.RabbitSettings.model_fields
    return topology.plan(
        exchange=default["exchange"].default,
        booking_queue=default["booking_queue"].default,
        payment_queue=default["payment_queue"].default,
        delays=DEFAULT_DELAYS_S,
        parking_seconds=1,
        express=True,
        others={kind: EVENT_TYPES for kind in ChannelKind if kind is not ChannelKind.EMAIL},
    )


def _texts(folder: Path, pattern: str) -> Iterator[str]:
    """Return each constant text of the modules below `folder` that is such a name as a whole."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(pattern, node.value):
                yield node.value


def _fields_of_claims() -> Iterator[str]:
    scripts = (PACKAGE / "stores" / "redis" / "claims.py").read_text("utf-8")
    for arguments in re.findall(r"'HMGET', \S+, ([^)]+)\)", scripts):
        yield from re.findall(r"'(\w+)'", arguments)


def _fields(schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, each in schema.get("properties", {}).items():
        yield f"{prefix}{name}"
        yield from _fields(each.get("items", {}), f"{prefix}{name}[].")


def _metrics(registry: CollectorRegistry) -> Iterator[str]:
    for family in registry.collect():
        if family.name.startswith("notification"):
            collector: Any = registry._names_to_collectors[family.name]
            labels = ", ".join(collector._labelnames)
            yield f"{family.name} ({family.type}){f': {labels}' if labels else ''}"


if __name__ == "__main__":
    from tests.unit.test_metrics import watched

    LIST.write_text(written(collect(watched().registry)), "utf-8")
