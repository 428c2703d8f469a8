"""Whom the mails come from, and whose brand they carry."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator
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
