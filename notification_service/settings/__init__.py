"""Every setting, read once from the environment (or `.env`) into one frozen tree: the only reader of the environment.

Setting names are those of the deployed booking system where it has one; `.env.example` explains each of them.
"""

from notification_service.settings.choices import (
    DeliveryMode,
    Environment,
    Grant,
    LogFormat,
    Login,
    PushProvider,
    RecipientRecord,
    Security,
    ServiceLink,
    SmsProvider,
    SmtpExtensions,
    Tracking,
    TransportKind,
)
from notification_service.settings.feedback import FeedbackSettings
from notification_service.settings.fields import Network
from notification_service.settings.further_channels import SmsSettings, SnsSettings, TwilioSettings
from notification_service.settings.loading import load
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
from notification_service.settings.service import CinemaSettings, ServiceSettings
from notification_service.settings.smtp import FallbackSettings, SmtpSettings
from notification_service.settings.tracking import TrackingSettings
from notification_service.settings.tree import Settings, plain

__all__ = [
    "AddressKeySettings",
    "ApnsSettings",
    "BrandSettings",
    "CinemaSettings",
    "ConsoleSettings",
    "DeliveryMode",
    "Environment",
    "FallbackSettings",
    "FcmSettings",
    "FeedbackSettings",
    "Grant",
    "LogFormat",
    "Login",
    "MongoSettings",
    "Network",
    "PushProvider",
    "PushSettings",
    "RabbitSettings",
    "ReaderSettings",
    "RecipientRecord",
    "RedisSettings",
    "Security",
    "SenderSettings",
    "ServiceLink",
    "ServiceSettings",
    "Settings",
    "SmsProvider",
    "SmsSettings",
    "SmtpExtensions",
    "SmtpSettings",
    "SnsSettings",
    "Tracking",
    "TrackingSettings",
    "TransportKind",
    "TwilioSettings",
    "WalletSettings",
    "load",
    "plain",
]
