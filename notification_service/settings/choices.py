"""Settings that take one of a few values."""

from enum import StrEnum


class DeliveryMode(StrEnum):
    AUTO = "auto"
    LIVE = "live"
    SIMULATE = "simulate"


class TransportKind(StrEnum):
    """Which transport sends real mail. The value is the name that `doctor` prints."""

    SMTP = "SMTP"


class Security(StrEnum):
    """Protection of the SMTP connection. `auto`: implicit TLS on port 465, else STARTTLS, which is then required."""

    AUTO = "auto"
    STARTTLS = "starttls"
    IMPLICIT = "implicit"
    PLAIN = "plain"


class SmtpExtensions(StrEnum):
    """What a mail server that offers it may be spoken to with. `auto`: PIPELINING and CHUNKING."""

    AUTO = "auto"
    PIPELINING = "pipelining"
    NONE = "none"


class Login(StrEnum):
    """How the service logs in at the mail server, if the server requires it."""

    PASSWORD = "password"  # noqa: S105 - the word, not one
    OAUTH2 = "oauth2"


class Grant(StrEnum):
    """The OAuth 2.0 grant (RFC 6749, RFC 7523). It follows from the settings that are set."""

    CLIENT_CREDENTIALS = "client credentials"
    REFRESH_TOKEN = "refresh token"  # noqa: S105 - the word, not one
    SERVICE_ACCOUNT = "service account"


class Environment(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class ServiceLink(StrEnum):
    """A server that the service connects to."""

    RABBITMQ = "rabbitmq"
    REDIS = "redis"
    MONGODB = "mongodb"
    SMTP = "smtp"


class LogFormat(StrEnum):
    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


class Tracking(StrEnum):
    """What is counted of what readers do. There is no open pixel to turn on."""

    OFF = "off"
    CLICKS = "clicks"


class RecipientRecord(StrEnum):
    """Whether records show addresses in full or masked."""

    FULL = "full"
    MASKED = "masked"


class SmsProvider(StrEnum):
    TWILIO = "twilio"
    SNS = "sns"


class PushProvider(StrEnum):
    FCM = "fcm"
    APNS = "apns"
