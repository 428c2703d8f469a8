"""Every setting, read once from the environment (or `.env`) into one frozen tree: the only reader of the environment.

Setting names are those of the deployed booking system where it has one; `.env.example` explains each of them.
"""

from notification_service.settings.choices import (
    DeliveryMode,
    Environment,
    Grant,
    LogFormat,
    Login,
    RecipientRecord,
    Security,
    ServiceLink,
    Tracking,
    TransportKind,
)
from notification_service.settings.feedback import FeedbackSettings
from notification_service.settings.fields import Network
from notification_service.settings.loading import load
from notification_service.settings.presentation import BrandSettings, SenderSettings
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
    "BrandSettings",
    "CinemaSettings",
    "ConsoleSettings",
    "DeliveryMode",
    "Environment",
    "FallbackSettings",
    "FeedbackSettings",
    "Grant",
    "LogFormat",
    "Login",
    "MongoSettings",
    "Network",
    "RabbitSettings",
    "RecipientRecord",
    "RedisSettings",
    "Security",
    "SenderSettings",
    "ServiceLink",
    "ServiceSettings",
    "Settings",
    "SmtpSettings",
    "Tracking",
    "TrackingSettings",
    "TransportKind",
    "load",
    "plain",
]
