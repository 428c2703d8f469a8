"""The Kubernetes manifests: valid by Kubernetes' own schemas, in step with settings, image and queues."""

import json
import re
from functools import cache
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from pydantic_settings import BaseSettings

from notification_service.foundation.errors import ConfigurationError
from notification_service.settings import ConsoleSettings, ServiceSettings, Settings, load
from tests.asyncapi import document

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "deploy" / "kubernetes"
KUBERNETES = ("1.29", "1.34")
FOREIGN = ("keda.sh/v1alpha1", "monitoring.coreos.com/v1", "kustomize.config.k8s.io/v1beta1")

Document = dict[str, Any]


@cache
def documents(folder: Path) -> dict[str, Document]:
    files = sorted(folder.glob("*.yaml"))
    found = [each for file in files for each in yaml.safe_load_all(file.read_text("utf-8"))]
    return {each["kind"]: each for each in found}


def _documents() -> dict[str, Document]:
    return documents(FOLDER)


def _default(name: str) -> float:
    return float(ServiceSettings.model_fields[name].default)


def _pod() -> Document:
    pod: Document = _documents()["Deployment"]["spec"]["template"]["spec"]
    return pod


def _container() -> Document:
    (container,) = _pod()["containers"]
    return dict(container)


def all_settings() -> dict[str, bool]:
    """Each setting, and whether it is a secret."""
    return {
        f"{part.model_config.get('env_prefix', '')}{name}".upper(): "SecretStr" in str(field.annotation)
        for slice_ in Settings.model_fields.values()
        for part in [_slice(slice_.annotation)]
        for name, field in part.model_fields.items()
    }


def _slice(kind: object) -> type[BaseSettings]:
    assert isinstance(kind, type)
    assert issubclass(kind, BaseSettings)
    return kind


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("kind", [kind for kind, each in _documents().items() if each["apiVersion"] not in FOREIGN])
def test_the_schemas_of_kubernetes_take_it(kind: str, version: str) -> None:
    kubernetes_validate.validate(_documents()[kind], version, strict=True)


def test_a_misspelt_field_is_refused() -> None:
    deployment = json.loads(json.dumps(_documents()["Deployment"]))
    deployment["spec"]["template"]["spec"]["terminationGracePeriod"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, KUBERNETES[0], strict=True)


def test_every_file_is_a_resource_and_every_resource_a_file() -> None:
    files = {file.name for file in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(_documents()["Kustomization"]["resources"]) == files


def test_the_secret_holds_every_secret_setting_and_no_other() -> None:
    assert set(_documents()["Secret"]["stringData"]) == {name for name, secret in all_settings().items() if secret}


def test_the_config_map_holds_settings_and_no_secret() -> None:
    assert {name for name, secret in all_settings().items() if not secret} >= set(_documents()["ConfigMap"]["data"])


def test_with_both_the_service_starts_in_production_and_speaks_tls_to_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in all_settings():
        monkeypatch.delenv(name, raising=False)
    for name, value in {**_documents()["ConfigMap"]["data"], **_documents()["Secret"]["stringData"]}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=r"RABBITMQ_URL, REDIS_URL, MONGODB_URI, SMTP_PASSWORD is a well"):
        load(None)
    for name, value in _documents()["Secret"]["stringData"].items():
        monkeypatch.setenv(name, value.replace("change-me", "kX4-own-Zq7"))
    settings = load(None)
    assert settings.console.token is None, "the form opens the console"
    assert settings.live
    assert not settings.unprotected_links
    assert _container()["envFrom"] == [
        {"configMapRef": {"name": _documents()["ConfigMap"]["metadata"]["name"]}},
        {"secretRef": {"name": _documents()["Secret"]["metadata"]["name"]}},
    ]


def test_the_pod_outlives_the_drain_and_the_start() -> None:
    assert _pod()["terminationGracePeriodSeconds"] >= _default("shutdown_grace") + 10
    probe = _container()["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] > _default("startup_timeout")


def test_the_probes_ask_what_there_is() -> None:
    container = _container()
    health = (ROOT / "notification_service" / "observability" / "health.py").read_text("utf-8")
    for name, path in {"livenessProbe": "/livez", "startupProbe": "/livez", "readinessProbe": "/readyz"}.items():
        assert container[name]["httpGet"] == {"path": path, "port": "http"}
        assert f'"{path}"' in health
    assert container["ports"] == [
        {"name": "http", "containerPort": ServiceSettings.model_fields["port"].default},
        {"name": "console", "containerPort": ConsoleSettings.model_fields["port"].default},
    ]
    assert _documents()["Service"]["spec"]["ports"] == [
        {"name": each["name"], "port": each["containerPort"], "targetPort": each["name"]} for each in container["ports"]
    ]
    assert _documents()["ServiceMonitor"]["spec"]["endpoints"][0]["path"] == "/metrics"


def test_it_runs_as_the_image_does() -> None:
    uid = re.search(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert uid
    pod, container = _pod()["securityContext"], _container()["securityContext"]
    assert [pod["runAsUser"], pod["runAsGroup"], pod["fsGroup"]] == [int(uid[1]), int(uid[2]), int(uid[2])]
    assert pod["runAsNonRoot"] is True
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(_container()["resources"]) == {"requests", "limits"}


def test_all_that_select_pods_select_ours() -> None:
    labels = _documents()["Deployment"]["spec"]["template"]["metadata"]["labels"]
    documents = _documents()
    assert documents["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert documents["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert documents["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    assert documents["Service"]["spec"]["selector"] == labels
    assert documents["ServiceMonitor"]["spec"]["selector"]["matchLabels"] == documents["Service"]["metadata"]["labels"]


def ports_of(rule: Document) -> set[int]:
    return {each["port"] for each in rule["ports"]}


def test_the_network_lets_in_who_is_named_each_to_the_port_that_it_needs() -> None:
    health, console = int(_default("port")), ConsoleSettings.model_fields["port"].default
    let_in = {}
    for rule in _documents()["NetworkPolicy"]["spec"]["ingress"]:
        for peer in rule["from"]:
            assert peer.keys() == {"namespaceSelector", "podSelector"}, "a whole namespace, or any address"
            assert all(selector["matchLabels"] for selector in peer.values())
            let_in[peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]] = ports_of(rule)
    assert let_in == {"gateway": {health, console}, "monitoring": {health}}


def test_the_network_lets_out_to_what_the_service_speaks_with() -> None:
    rules = _documents()["NetworkPolicy"]["spec"]["egress"]
    assert all(rule["to"] and rule["ports"] for rule in rules)
    blocks = [peer["ipBlock"] for rule in rules for peer in rule["to"] if "ipBlock" in peer]
    open_to = [(ip_network(each["cidr"]), [ip_network(but) for but in each.get("except", ())], each) for each in blocks]
    # The metadata of a cloud's machine; the cluster's own services; this machine.
    for inside in map(ip_address, ("169.254.169.254", "10.96.0.1", "127.0.0.1", "192.168.1.1", "172.16.0.1")):
        assert not [each for block, but, each in open_to if inside in block and not any(inside in part for part in but)]
    secret, config = _documents()["Secret"]["stringData"], _documents()["ConfigMap"]["data"]
    urls = " ".join(secret[name] for name in ("RABBITMQ_URL", "REDIS_URL", "MONGODB_URI"))
    needed = {int(port) for port in re.findall(r":(\d+)", urls)} | {int(config["SMTP_PORT"]), 53}
    allowed: set[int] = set().union(*map(ports_of, rules))
    assert needed <= allowed <= needed | {465, 26379}


def test_keda_watches_every_queue_that_is_consumed() -> None:
    """No schema of KEDA's can be had here: what its documentation asks of a rabbitmq trigger, by hand."""
    spec = _documents()["ScaledObject"]["spec"]
    assert spec["scaleTargetRef"]["name"] == _documents()["Deployment"]["metadata"]["name"]
    assert 0 < spec["minReplicaCount"] < spec["maxReplicaCount"]
    receives = {name for name in document.document()["operations"] if name.startswith("receive.")}
    assert {f"receive.{trigger['metadata']['queueName']}" for trigger in spec["triggers"]} == receives
    for trigger in spec["triggers"]:
        assert trigger["type"] == "rabbitmq"
        assert set(trigger["metadata"]) == {"protocol", "queueName", "mode", "value"}
        assert trigger["metadata"]["protocol"] == "amqp"
        assert all(isinstance(value, str) for value in trigger["metadata"].values())
        assert trigger["authenticationRef"] == {"name": _documents()["TriggerAuthentication"]["metadata"]["name"]}
    (target,) = _documents()["TriggerAuthentication"]["spec"]["secretTargetRef"]
    assert target == {"parameter": "host", "name": _documents()["Secret"]["metadata"]["name"], "key": "RABBITMQ_URL"}
