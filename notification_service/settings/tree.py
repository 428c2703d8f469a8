"""The tree of all settings, and what follows from several groups of them together."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.foundation.addresses import NotAnAddressError, parse_address
from notification_service.foundation.credentials import passwords, published, published_login, sent_by_auth
from notification_service.settings.choices import (
    DeliveryMode,
    PushProvider,
    RecipientRecord,
    Security,
    ServiceLink,
    SmsProvider,
    Tracking,
    TransportKind,
)
from notification_service.settings.feedback import FeedbackSettings
from notification_service.settings.further_channels import SmsSettings, SnsSettings, TwilioSettings
from notification_service.settings.presentation import BrandSettings, SenderSettings, WalletSettings
from notification_service.settings.push import ApnsSettings, FcmSettings, PushSettings
from notification_service.settings.readers import ReaderSettings
from notification_service.settings.servers import (
    AddressKeySettings,
    ConsoleSettings,
    MongoSettings,
    RabbitSettings,
    RedisSettings,
)
from notification_service.settings.service import ServiceSettings
from notification_service.settings.smtp import FallbackSettings, SmtpSettings
from notification_service.settings.tracking import TrackingSettings


class Settings(BaseModel):
    """Secrets are `SecretStr`, so no repr shows one."""

    model_config = ConfigDict(frozen=True)

    rabbitmq: RabbitSettings
    redis: RedisSettings
    mongodb: MongoSettings
    addresses: AddressKeySettings
    smtp: SmtpSettings
    fallback: FallbackSettings
    sender: SenderSettings
    brand: BrandSettings
    wallet: WalletSettings
    console: ConsoleSettings
    service: ServiceSettings
    feedback: FeedbackSettings
    tracking: TrackingSettings
    sms: SmsSettings
    twilio: TwilioSettings
    sns: SnsSettings
    push: PushSettings
    fcm: FcmSettings
    apns: ApnsSettings

    @property
    def transport(self) -> TransportKind:
        """The chosen transport, whether or not its settings are complete. Only this property decides it."""
        return TransportKind.SMTP

    @property
    def relays(self) -> tuple[SmtpSettings, ...]:
        """The mail servers, the preferred one first."""
        return (self.smtp, self.fallback) if self.fallback.server else (self.smtp,)

    @property
    def unconfigured(self) -> str | None:
        """Why no real mail can be sent, in one sentence that names the setting; None if it can be."""
        no_sender = "FROM_EMAIL is not set, and SMTP_USERNAME is not a mail address to use instead"
        sender = None if self.sender_address else no_sender
        match self.transport:
            case TransportKind.SMTP:
                return self.smtp.missing or sender

    @property
    def sender_address(self) -> str | None:
        if self.sender.email:
            return self.sender.email
        try:
            return parse_address(self.smtp.username or "")
        except NotAnAddressError:
            return None

    @property
    def live(self) -> bool:
        return self.service.delivery_mode is not DeliveryMode.SIMULATE and self.unconfigured is None

    @property
    def problems(self) -> tuple[str | None, ...]:
        """Why settings do not fit together, each in one sentence; None for each way in which they do."""
        return self.wallet.missing, self.service.retention_problem, self.feedback_problem, self.tracking_problem

    @property
    def suppression(self) -> bool:
        """Whether an address that is gone or complained is written to no more: where that is heard, unless told."""
        told = self.tracking.suppression
        return self.feedback.enabled if told is None else told

    @property
    def tracking_problem(self) -> str | None:
        """Why addresses cannot be suppressed or clicks not be counted as the settings ask, in one sentence."""
        if self.suppression and not self.has_digests:
            return (
                "SUPPRESSION with RECORD_RECIPIENT=masked needs ADDRESS_KEYS: the list holds keyed digests. Where "
                "feedback is heard, suppression is on unless SUPPRESSION=false"
            )
        if self.tracking.tracking is Tracking.OFF:
            return None
        needed = {
            "CALLBACK_URL": self.feedback.callback_url,
            "LINK_KEYS": self.tracking.link_keys,
            "TRACKING_CONSENT_FIELD": self.tracking.tracking_consent_field,
        }
        if missing := [name for name, value in needed.items() if not value]:
            return f"TRACKING=clicks needs {', '.join(missing)}"
        return self._untrackable_link

    @property
    def has_digests(self) -> bool:
        """Whether addresses have keyed digests: without ADDRESS_KEYS, masked records have none."""
        return bool(self.addresses.keys) or self.service.record_recipient is RecipientRecord.FULL

    @property
    def _untrackable_link(self) -> str | None:
        """The redirect leads to hosts of LINK_HOSTS alone, so that no key of ours makes an open redirect of it."""
        service = self.service
        links = {"RETRY_URL": service.retry_url, "BOOKING_URL": service.booking_url, "SUPPORT_URL": service.support_url}
        hosts = {host.lower() for host in service.link_hosts}
        for name, link in links.items():
            if link and (host := urlsplit(link.replace("{booking_id}", "1")).hostname) not in hosts:
                return f"TRACKING=clicks: {name} leads to {host}, which LINK_HOSTS does not name"
        return None

    @property
    def feedback_problem(self) -> str | None:
        """Why what becomes known after a mail was sent cannot be heard as the settings ask, in one sentence."""
        feedback = self.feedback
        if feedback.return_path_domain and not self.tracking.link_keys:
            return "RETURN_PATH_DOMAIN needs LINK_KEYS: the envelope sender carries a code that only we can make"
        ports = {"PORT": self.service.port, "CONSOLE_PORT": self.console.port if self.console.token else None}
        if same := [name for name, port in ports.items() if port == feedback.callback_port and feedback.enabled]:
            return f"CALLBACK_PORT is the same as {same[0]}: the public listener needs a port of its own"
        return None

    @property
    def reader_settings(self) -> Mapping[ChannelKind, ReaderSettings]:
        """Of each channel beside e-mail that is switched on."""
        sms: dict[ChannelKind, ReaderSettings] = {ChannelKind.SMS: self.sms} if self.sms.provider else {}
        return sms | ({ChannelKind.PUSH: self.push} if self.push.providers else {})

    @property
    def channel_consents(self) -> dict[ChannelKind, str]:
        """The field of a user that says whether they want messages by a channel, where one is named."""
        return {kind: each.consent_field for kind, each in self.reader_settings.items() if each.consent_field}

    @property
    def sms_missing(self) -> str | None:
        """Why no SMS can be sent though a provider is chosen; None if it can be, or if none is chosen."""
        match self.sms.provider:
            case SmsProvider.TWILIO:
                return self.twilio.missing
            case SmsProvider.SNS:
                return self.sns.missing
            case None:
                return None

    @property
    def sms_live(self) -> bool:
        simulate = self.service.delivery_mode is DeliveryMode.SIMULATE
        return self.sms.provider is not None and not simulate and self.sms_missing is None

    @property
    def push_missing(self) -> str | None:
        """Why no push message can be sent though services are chosen; None if it can be, or if none is chosen."""
        logins = {PushProvider.FCM: self.fcm.missing, PushProvider.APNS: self.apns.missing}
        return next((missing for each in self.push.providers if (missing := logins[each])), None)

    @property
    def push_live(self) -> bool:
        simulate = self.service.delivery_mode is DeliveryMode.SIMULATE
        return bool(self.push.providers) and not simulate and self.push_missing is None

    @property
    def unprotected_links(self) -> dict[ServiceLink, str]:
        """The connections that are not protected and not listed in PLAINTEXT_ALLOWED, with the reason.

        Raises `ConfigurationError` if a URL cannot be read.
        """
        from notification_service import protection  # noqa: PLC0415 - it imports the clients, which the health check does not need

        urls = (self.rabbitmq.url, self.redis.url, self.mongodb.uri)
        rabbitmq, redis, mongodb = (url.get_secret_value() for url in urls)
        found = protection.unprotected(rabbitmq=rabbitmq, redis_url=redis, mongodb=mongodb)
        faults = {ServiceLink(name): fault for name, fault in found.items()}
        management = plain(self.rabbitmq.management_url)
        if management and not management.lower().startswith("https://"):
            faults.setdefault(ServiceLink.RABBITMQ, "RABBITMQ_MANAGEMENT_URL has to be https://")
        for smtp in self.relays:
            if smtp.server and smtp.username and smtp.protection is Security.PLAIN:
                where, security = f"{smtp.host}:{smtp.connect_port}", f"{smtp.prefix}SECURITY"
                faults.setdefault(
                    ServiceLink.SMTP,
                    f"{smtp.prefix}USERNAME would log in at {where} in plain text: {security} has to be starttls or "
                    "implicit",
                )
        return {link: fault for link, fault in faults.items() if link not in self.service.plaintext_allowed}

    def secrets(self) -> list[str]:
        """Every secret in the tree, with the passwords inside URLs, for the redaction of logs."""
        mail = (self.smtp, self.fallback, self.wallet)
        groups = (self.rabbitmq, self.redis, self.mongodb, *mail, self.console, self.twilio, self.sns)
        held = [value.get_secret_value() for group in groups for _, value in group if isinstance(value, SecretStr)]
        held += (*self.addresses.plain_keys, *self.tracking.plain_keys, *self.feedback.plain_secrets)
        logins = [(smtp.username or "", plain(smtp.password)) for smtp in (self.smtp, self.fallback)]
        sent = [text for username, password in logins if password for text in sent_by_auth(username, password)]
        return [*sent, *(secret for whole in held for secret in (whole, *passwords(whole)) if secret)]

    @property
    def well_known_secrets(self) -> list[str]:
        """The settings whose secret is a published default or an example."""
        urls = {"RABBITMQ_URL": self.rabbitmq.url, "REDIS_URL": self.redis.url, "MONGODB_URI": self.mongodb.uri}
        smtp = {
            f"{each.prefix}{name.upper()}": value
            for each in (self.smtp, self.fallback)
            for name, value in each
            if isinstance(value, SecretStr)
        }
        known = [name for name, url in urls.items() if published_login(url.get_secret_value())]
        return known + [name for name, secret in smtp.items() if published(secret.get_secret_value())]


def plain(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
