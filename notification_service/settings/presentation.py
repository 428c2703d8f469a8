"""Whom the mails come from, and whose brand they carry."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from notification_service.content.branding import ACCENT, check_colour
from notification_service.settings.fields import Address, SafeLink, SettingsGroup


class SenderSettings(SettingsGroup):
    model_config = SettingsConfigDict(env_prefix="FROM_")

    email: Address = None
    name: str = "Movie Tickets"


class BrandSettings(SettingsGroup):
    """`name` defaults to FROM_NAME."""

    model_config = SettingsConfigDict(env_prefix="BRAND_")

    name: str | None = None
    support_email: Address = None
    site_url: SafeLink = None
    address: str | None = None
    colour: Annotated[str, AfterValidator(check_colour)] = ACCENT
    logo: Path | None = None


_TOGETHER = (("apple_certificate", "apple_key", "apple_wwdr"), ("google_service_account_file", "google_issuer_id"))


class WalletSettings(SettingsGroup):
    """Tickets for phones. Apple's pass needs certificate, key and WWDR; Google's link account file and issuer."""

    model_config = SettingsConfigDict(env_prefix="WALLET_")

    apple_certificate: Path | None = None
    apple_key: Path | None = None
    apple_key_password: SecretStr | None = None
    apple_wwdr: Path | None = None
    google_service_account_file: Path | None = None
    google_issuer_id: Annotated[str, Field(pattern="^[0-9]{1,30}$")] | None = None

    @property
    def missing(self) -> str | None:
        """Which setting is missing beside those that are set; None if each wallet is complete or off."""
        for names in (
            ("apple_certificate", "apple_key", "apple_wwdr"),
            ("google_service_account_file", "google_issuer_id"),
        ):
            given = [name for name in names if getattr(self, name) is not None]
            lacking = [f"WALLET_{name.upper()}" for name in names if name not in given]
            if given and lacking:
                return f"WALLET_{given[0].upper()} is set, and {', '.join(lacking)} is not"
        return None
