"""The manifests of the public listener: valid, and with no login, port or way out that it does not need."""

import re
from ipaddress import ip_address, ip_network

import kubernetes_validate
import pytest

from notification_service.callbacks import process
from notification_service.settings import FeedbackSettings, ServiceSettings, Settings, load
from tests.unit.test_deploy import FOLDER, FOREIGN, KUBERNETES, ROOT, Document, all_settings, documents, ports_of

HERE = FOLDER / "callbacks"
NAME = "notification-callbacks"
INSIDE, OUTSIDE = ServiceSettings.model_fields["port"].default, FeedbackSettings.model_fields["callback_port"].default
CONFIGURED = {
    "CALLBACK_URL": "https://callbacks.cinema.example",
    "SES_TOPICS": "arn:aws:sns:eu-west-1:123456789012:mail",
    "LINK_HOSTS": "cinema.example",
    "BRAND_NAME": "The Cinema",
}
SECRETS = {
    "MAILGUN_WEBHOOK_KEYS": "kX4-own-Zq7-of-mailgun",
    "POSTMARK_WEBHOOK_LOGINS": "postmark:kX4-own-Zq7-of-postmark",
    "LINK_KEYS": "1:kX4-own-Zq7-of-our-links",
}


def container() -> Document:
    (found,) = documents(HERE)["Deployment"]["spec"]["template"]["spec"]["containers"]
    return dict(found)


def environment() -> dict[str, str]:
    """What the pod would have in it, out of the ConfigMap and the Secret of the service."""
    secret = {**documents(FOLDER)["Secret"]["stringData"], **SECRETS}
    config = {**documents(FOLDER)["ConfigMap"]["data"], **CONFIGURED}
    found = {}
    for each in container()["env"]:
        source = each.get("valueFrom", {})
        for kind, values in (("secretKeyRef", secret), ("configMapKeyRef", config)):
            if kind in source and source[kind]["key"] in values:
                found[each["name"]] = values[source[kind]["key"]]
        if "value" in each:
            found[each["name"]] = each["value"]
    return found


def loaded(monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in all_settings():
        monkeypatch.delenv(name, raising=False)
    for name, value in environment().items():
        monkeypatch.setenv(name, value.replace("change-me", "kX4-own-Zq7"))
    return load(None)


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("kind", [kind for kind, each in documents(HERE).items() if each["apiVersion"] not in FOREIGN])
def test_the_schemas_of_kubernetes_take_it(kind: str, version: str) -> None:
    kubernetes_validate.validate(documents(HERE)[kind], version, strict=True)


def test_every_file_is_a_resource_in_the_namespace_of_the_service() -> None:
    ours, service = documents(HERE)["Kustomization"], documents(FOLDER)["Kustomization"]
    assert set(ours["resources"]) == {file.name for file in HERE.glob("*.yaml")} - {"kustomization.yaml"}
    assert ours["namespace"] == service["namespace"]
    named = [each["metadata"]["name"] for kind, each in documents(HERE).items() if kind != "Kustomization"]
    assert set(named) == {NAME}


def test_it_starts_in_production_with_what_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch)
    assert set(process.providers(settings)) == {"ses", "mailgun", "postmark"}
    assert settings.feedback.callback_host == "0.0.0.0"  # noqa: S104 - the pod's own
    assert not settings.unprotected_links
    assert settings.brand.name == "The Cinema"
    assert environment()["RABBITMQ_URL"].startswith("amqps://")


def test_it_gets_no_login_that_it_does_not_need() -> None:
    named = [each["name"] for each in container()["env"]]
    assert len(set(named)) == len(named)
    assert set(named) <= set(all_settings())
    for each in container()["env"]:
        for source in each.get("valueFrom", {}).values():
            assert (source["name"], source["key"]) == ("notification-service", each["name"])
            assert source.get("optional") is (None if each["name"] == "RABBITMQ_URL" else True)
    assert {name for name in named if all_settings()[name]} == {"RABBITMQ_URL", "TWILIO_AUTH_TOKEN", *SECRETS}
    assert "envFrom" not in container()


def test_every_setting_of_feedback_reaches_it() -> None:
    named = {each["name"] for each in container()["env"]}
    own = {name.upper() for name in FeedbackSettings.model_fields}
    assert own - named == {"CALLBACK_PORT", "RETURN_PATH_DOMAIN"}, "its port is the default; bounces has the other"


def test_it_runs_as_the_service_does() -> None:
    service = documents(FOLDER)["Deployment"]["spec"]["template"]["spec"]
    pod = documents(HERE)["Deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"] == service["securityContext"]
    assert container()["securityContext"] == service["containers"][0]["securityContext"]
    assert container()["image"] == service["containers"][0]["image"]
    assert set(container()["resources"]) == {"requests", "limits"}
    assert container()["args"] == ["callbacks"]


def test_it_stays_reachable_while_rabbitmq_is_down_since_links_in_mails_need_it() -> None:
    assert container()["readinessProbe"]["httpGet"] == {"path": "/livez", "port": "callbacks"}
    assert container()["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "http"}
    assert container()["ports"] == [
        {"name": "http", "containerPort": INSIDE},
        {"name": "callbacks", "containerPort": OUTSIDE},
    ]
    assert documents(HERE)["Service"]["spec"]["ports"] == [
        {"name": each["name"], "port": each["containerPort"], "targetPort": each["name"]}
        for each in container()["ports"]
    ]


def test_all_that_select_pods_select_its_own_and_not_the_service() -> None:
    found, labels = documents(HERE), {"app.kubernetes.io/name": NAME}
    assert found["Deployment"]["spec"]["template"]["metadata"]["labels"] == labels
    assert found["Service"]["spec"]["selector"] == found["Service"]["metadata"]["labels"] == labels
    assert found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    for kind in ("Deployment", "PodDisruptionBudget", "ServiceMonitor"):
        assert found[kind]["spec"]["selector"]["matchLabels"] == labels


def test_strangers_reach_its_public_port_alone_and_it_reaches_the_broker_and_sns_alone() -> None:
    policy = documents(HERE)["NetworkPolicy"]["spec"]
    let_in = {
        peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]: ports_of(rule)
        for rule in policy["ingress"]
        for peer in rule["from"]
        if peer["podSelector"]["matchLabels"]
    }
    assert let_in == {"gateway": {OUTSIDE}, "monitoring": {INSIDE}}
    assert all(rule["to"] and rule["ports"] for rule in policy["egress"])
    broker = {int(port) for port in re.findall(r":(\d+)/", documents(FOLDER)["Secret"]["stringData"]["RABBITMQ_URL"])}
    assert set().union(*map(ports_of, policy["egress"])) == {53, 443} | broker
    (public,) = [peer["ipBlock"] for rule in policy["egress"] if 443 in ports_of(rule) for peer in rule["to"]]
    for inside in ("169.254.169.254", "10.96.0.1", "127.0.0.1", "192.168.1.1", "172.16.0.1"):
        assert any(ip_address(inside) in ip_network(each) for each in public["except"])


def test_the_guide_names_it() -> None:
    assert "kubernetes/callbacks" in (ROOT / "docs" / "deploy" / "README.md").read_text("utf-8")
