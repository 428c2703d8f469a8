"""The process of the public listener: its port, the inner port for health and metrics, and the way to the queue."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.types import ASGIApp

from notification_service import service
from notification_service.broker.signal_queue import SignalPublisher
from notification_service.callbacks.app import application
from notification_service.callbacks.links import reader_routes
from notification_service.contract.signals import Signal
from notification_service.feedback import signal_messages
from notification_service.feedback.providers.mailgun import Mailgun
from notification_service.feedback.providers.postmark import Postmark
from notification_service.feedback.providers.sendgrid import SendGrid
from notification_service.feedback.providers.ses import Ses
from notification_service.feedback.providers.sns import Sns
from notification_service.feedback.providers.twilio import Twilio
from notification_service.feedback.providers.webhooks import Provider
from notification_service.feedback.signal_buffer import SignalBuffer
from notification_service.foundation.errors import ConfigurationError, DependencyError
from notification_service.observability import health, serving as listener
from notification_service.observability.callback_metrics import CallbackMetrics
from notification_service.observability.health import Part, Readiness
from notification_service.settings import Settings, SmsProvider


def providers(settings: Settings) -> dict[str, Provider]:
    """Those that the settings name, by the last part of their path. Raises `ConfigurationError`."""
    feedback = settings.feedback
    found: dict[str, Provider] = {}
    if feedback.ses_topics:
        found["ses"] = Ses(Sns(feedback.ses_topics))
    if feedback.sendgrid_webhook_keys:
        try:
            found["sendgrid"] = SendGrid(feedback.sendgrid_webhook_keys)
        except ValueError as problem:
            raise ConfigurationError(f"SENDGRID_WEBHOOK_KEYS: a key cannot be read: {problem}") from problem
    if feedback.mailgun_webhook_keys:
        found["mailgun"] = Mailgun([key.get_secret_value() for key in feedback.mailgun_webhook_keys])
    if feedback.postmark_webhook_logins:
        found["postmark"] = Postmark([login.get_secret_value() for login in feedback.postmark_webhook_logins])
    token, origin = settings.twilio.auth_token, feedback.callback_url
    if settings.sms.provider is SmsProvider.TWILIO and token and origin:
        found["twilio"] = Twilio(origin, [token.get_secret_value()])
    return found


async def run(settings: Settings) -> None:
    """Listen until SIGTERM or SIGINT. Raises `ConfigurationError` where nothing is listened to, or a port is taken."""
    if not settings.feedback.has_webhooks and settings.feedback.callback_url is None:
        raise ConfigurationError(
            "nothing is listened to: set SES_TOPICS, SENDGRID_WEBHOOK_KEYS, MAILGUN_WEBHOOK_KEYS or "
            "POSTMARK_WEBHOOK_LOGINS for a provider, or CALLBACK_URL for the links in mails"
        )
    stop = service.stop_on_signals()
    heard = providers(settings)
    publisher = SignalPublisher(settings.rabbitmq.url.get_secret_value(), "publishing signals")
    metrics = CallbackMetrics(tuple(heard))

    async def publish(signal: Signal) -> None:
        await publisher.publish([signal_messages.written(signal)])

    clicks = SignalBuffer(publish)
    outside = application(heard, publisher.publish, metrics, reader_routes(settings, clicks.put, publish))

    async def examine() -> Readiness:
        problem = await _problem_of(publisher)
        part = Part("up" if problem is None else "down", ok=problem is None, needed=True, detail=problem)
        return Readiness(mode="callbacks", parts={"rabbitmq": part})

    inside = health.application(examine, metrics.page)
    inner, outer = settings.service, settings.feedback
    try:
        async with (
            clicks.running(),
            _listening(inside, "HTTP_HOST, PORT", inner.http_host, inner.port),
            _listening(
                outside, "CALLBACK_HOST, CALLBACK_PORT", outer.callback_host, outer.callback_port, metrics.refused
            ),
        ):
            await stop.wait()
    finally:
        await publisher.close()


@asynccontextmanager
async def _listening(
    app: ASGIApp, settings: str, host: str, port: int, refused: Callable[[int], None] = lambda _: None
) -> AsyncIterator[None]:
    """Raises `ConfigurationError` if the port is taken."""
    try:
        async with listener.serving(app, host, port, refused=refused):
            yield
    except OSError as problem:
        hint = "; beside the service itself this process needs a PORT of its own" if "HTTP_HOST" in settings else ""
        raise ConfigurationError(f"{settings}: cannot listen on {host}:{port}: {problem}{hint}") from problem


async def _problem_of(publisher: SignalPublisher) -> str | None:
    try:
        await publisher.check()
    except DependencyError as problem:
        return str(problem)
    return None
