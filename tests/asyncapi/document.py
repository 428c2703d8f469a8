"""The AsyncAPI 3 document of what is consumed and published, from the models and the topology."""

from typing import Any

from notification_service import __version__
from notification_service.broker import topology
from notification_service.broker.topology import QueueSpec, Topology
from notification_service.contract.events import EVENT_TYPES, payload_schema
from notification_service.settings import RabbitSettings, ServiceSettings

_BINDING = "0.3.0"
_DAY = 24 * 60 * 60


def document() -> dict[str, Any]:
    """What is consumed and published with the default settings, as an AsyncAPI 3 document."""
    plan = _defaults()
    consumed = {queue.name: queue for queue in (*plan.fed, *plan.own) if queue.name in plan.consumed}
    published = [queue for queue in plan.own if queue.name != topology.AGAIN]
    return {
        "asyncapi": "3.1.0",
        "id": "urn:notification-service",
        "info": {
            "title": "notification-service",
            "version": __version__,
            "description": (
                "Takes booking and payment events and sends the e-mails that belong to them. Names are those of the "
                "default settings. A queue of the booking system is used as it is; the arguments here are those "
                "with which a missing one is created."
            ),
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "plain": _server("amqp", "5672", "A protected network only."),
            "tls": _server("amqps", "5671", "Everywhere else."),
        },
        "channels": {
            **{event_type: _routed(plan.exchange, event_type) for event_type in EVENT_TYPES},
            **{queue.name: _queued(queue) for queue in (*plan.fed, *plan.own)},
        },
        "operations": {
            **{f"receive.{name}": _operation("receive", queue) for name, queue in consumed.items()},
            **{f"send.{queue.name}": _operation("send", queue) for queue in published},
        },
        "components": {"messages": {event_type: _message(event_type) for event_type in EVENT_TYPES}},
    }


def _defaults() -> Topology:
    def default(part: type[RabbitSettings | ServiceSettings], name: str) -> Any:  # noqa: ANN401 - as it is declared
        return part.model_fields[name].default

    return topology.plan(
        exchange=default(RabbitSettings, "exchange"),
        booking_queue=default(RabbitSettings, "booking_queue"),
        payment_queue=default(RabbitSettings, "payment_queue"),
        delays=default(ServiceSettings, "retry_rungs"),
        parking_seconds=default(ServiceSettings, "parking_days") * _DAY,
        express=default(RabbitSettings, "express_lane"),
    )


def _server(protocol: str, port: str, description: str) -> dict[str, Any]:
    return {
        "host": "{host}",
        "protocol": protocol,
        "protocolVersion": "0-9-1",
        "description": description,
        "variables": {"host": {"default": f"localhost:{port}", "description": "RABBITMQ_URL says where."}},
    }


def _routed(exchange: str, event_type: str) -> dict[str, Any]:
    """One routing key of the topic exchange, to which a producer publishes."""
    return {
        "address": event_type,
        "messages": {event_type: {"$ref": f"#/components/messages/{event_type}"}},
        "bindings": {
            "amqp": {
                "is": "routingKey",
                "exchange": {"name": exchange, "type": "topic", "durable": True, "autoDelete": False},
                "bindingVersion": _BINDING,
            }
        },
    }


def _queued(queue: QueueSpec) -> dict[str, Any]:
    return {
        "address": queue.name,
        "messages": {
            event_type: {"$ref": f"#/components/messages/{event_type}"} for event_type in queue.bound_to or EVENT_TYPES
        },
        "bindings": {
            "amqp": {
                "is": "queue",
                "queue": {"name": queue.name, "durable": True, "exclusive": False, "autoDelete": False},
                "bindingVersion": _BINDING,
            }
        },
        "x-queue-arguments": dict(queue.arguments),
        "x-routing-keys": list(queue.bound_to),
    }


def _operation(action: str, queue: QueueSpec) -> dict[str, Any]:
    binding = {"ack": True} if action == "receive" else {"deliveryMode": 2, "mandatory": True}
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{queue.name}"},
        "bindings": {"amqp": {**binding, "bindingVersion": _BINDING}},
    }


def _message(event_type: str) -> dict[str, Any]:
    return {
        "name": event_type,
        "contentType": "application/json",
        "payload": payload_schema(event_type),
        "bindings": {"amqp": {"messageType": event_type, "bindingVersion": _BINDING}},
    }
