"""What becomes known after a mail was sent: the public listener, the providers' keys, and the envelope sender."""

import base64
import binascii
import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

from notification_service.foundation.credentials import published
from notification_service.foundation.hosts import is_host
from notification_service.settings.fields import Origin, Port, SettingsGroup, split

_TOPIC = re.compile(r"arn:aws(?:-cn|-us-gov)?:sns:[a-z0-9-]{3,30}:\d{12}:[A-Za-z0-9_-]{1,256}(?:\.fifo)?")
_MIN_SECRET_LENGTH = 16
_MAX_DOMAIN_LENGTH = 180
"""With the longest local part an address keeps within the 254 characters of RFC 5321 §4.5.3.1.3."""


def _check_topic(arn: str) -> str:
    if not _TOPIC.fullmatch(arn):
        raise ValueError(f"{arn!r} is no topic; write its whole ARN, such as arn:aws:sns:eu-west-1:123456789012:mail")
    return arn


def _check_public_key(text: str) -> str:
    """The text of a DER key in base64, as SendGrid shows it. The PEM frame that some add to it is taken off."""
    bare = "".join(re.sub(r"-----[A-Z ]+-----", "", text).split())
    try:
        der = base64.b64decode(bare, validate=True)
    except (binascii.Error, ValueError):
        der = b""
    if not der.startswith(b"\x30"):
        raise ValueError("not the verification key: SendGrid shows it beside Signed Event Webhook; it begins with MF")
    return bare


def _check_secret(key: SecretStr) -> SecretStr:
    if len(key.get_secret_value()) < _MIN_SECRET_LENGTH or published(key.get_secret_value()):
        raise ValueError("not a signing key: Mailgun shows it under API security, HTTP webhook signing key")
    return key


def _check_login(login: SecretStr) -> SecretStr:
    user, colon, password = login.get_secret_value().partition(":")
    if not (user and colon and len(password) >= _MIN_SECRET_LENGTH) or published(password):
        raise ValueError("expected USER:PASSWORD with at least 16 characters behind the colon, as in the webhook's URL")
    return login


def _check_domain(name: str | None) -> str | None:
    if name and (not is_host(name) or "." not in name or len(name) > _MAX_DOMAIN_LENGTH):
        raise ValueError(f"{name!r} is no domain; write the one whose mail goes into the mailbox that is read")
    return name.lower() if name else None


Topics = Annotated[tuple[Annotated[str, AfterValidator(_check_topic)], ...], NoDecode, BeforeValidator(split)]
PublicKeys = Annotated[tuple[Annotated[str, AfterValidator(_check_public_key)], ...], NoDecode, BeforeValidator(split)]
SigningKeys = Annotated[
    tuple[Annotated[SecretStr, AfterValidator(_check_secret)], ...], NoDecode, BeforeValidator(split)
]
Logins = Annotated[tuple[Annotated[SecretStr, AfterValidator(_check_login)], ...], NoDecode, BeforeValidator(split)]
Domain = Annotated[str | None, AfterValidator(_check_domain)]


class FeedbackSettings(SettingsGroup):
    """Lists hold the current key first; further ones are good too while a key is changed."""

    callback_host: str = "127.0.0.1"
    callback_port: Port = 8086
    callback_url: Origin = None
    ses_topics: Topics = ()
    sendgrid_webhook_keys: PublicKeys = ()
    mailgun_webhook_keys: SigningKeys = ()
    postmark_webhook_logins: Logins = ()
    return_path_domain: Domain = None

    @property
    def has_webhooks(self) -> bool:
        return bool(
            self.ses_topics or self.sendgrid_webhook_keys or self.mailgun_webhook_keys or self.postmark_webhook_logins
        )

    @property
    def enabled(self) -> bool:
        """Whether signals may come at all: without, there is no queue for them and nobody who consumes it."""
        return self.has_webhooks or self.return_path_domain is not None or self.callback_url is not None

    @property
    def plain_secrets(self) -> list[str]:
        held = (*self.mailgun_webhook_keys, *self.postmark_webhook_logins)
        whole = [secret.get_secret_value() for secret in held]
        return [*whole, *(login.get_secret_value().partition(":")[2] for login in self.postmark_webhook_logins)]
