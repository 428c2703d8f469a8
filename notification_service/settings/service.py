"""The service itself: how it delivers, retries, keeps records, listens and logs, and the defaults of what mails say."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from notification_service.content.localization import check_locale
from notification_service.contract.time_zones import check_zone
from notification_service.delivery.ports.retention_policy import RetentionPolicy
from notification_service.delivery.retries import DEFAULT_DELAYS_S
from notification_service.settings.choices import DeliveryMode, Environment, LogFormat, RecipientRecord
from notification_service.settings.fields import (
    BusinessDays,
    Collector,
    Count,
    Days,
    DaysInStore,
    ExperimentSetting,
    Hosts,
    Lease,
    Links,
    Port,
    RetryDelays,
    SafeLink,
    Seconds,
    SettingsGroup,
    TemplateNames,
    VariantName,
)


class CinemaSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str | None = None
    time_zone: Annotated[str | None, AfterValidator(check_zone)] = None
    map_url: SafeLink = None
    latitude: Annotated[float, Field(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Field(ge=-180, le=180)] | None = None


class ServiceSettings(SettingsGroup):
    environment: Environment = Environment.DEVELOPMENT
    plaintext_allowed: Links = ()
    delivery_mode: DeliveryMode = DeliveryMode.AUTO
    outbox_dir: Path = Path("outbox")
    templates_dir: Path | None = None
    log_level: Annotated[str, Field(pattern="(?i)^(debug|info|warning|error|critical)$")] = "INFO"
    log_format: LogFormat = LogFormat.AUTO
    http_host: str = "0.0.0.0"  # noqa: S104 - the gateway and the prober live in other containers
    port: Port = 8084
    tracing_endpoint: Collector = None
    max_retry_attempts: Annotated[int, Field(ge=0)] = 5
    retry_rungs: RetryDelays = DEFAULT_DELAYS_S
    notification_timeout: Seconds = 30
    startup_timeout: Seconds = 120
    shutdown_grace: Seconds = 25
    lease_seconds: Lease = 30
    verdict_days: DaysInStore = 15
    parking_days: DaysInStore = 7
    record_days_full: Days = 0
    record_days: Days = 0
    recipient_mails_per_hour: Count = 60
    domain_mails_per_minute: dict[str, Annotated[int, Field(ge=0)]] = Field(default={})
    max_event_bytes: Count = 256 * 1024
    max_attachment_bytes: Count = 5 * 1024 * 1024
    unknown_hold: TemplateNames = ()
    experiment: ExperimentSetting = None
    shadow_variant: VariantName = None
    record_recipient: RecipientRecord = RecipientRecord.FULL
    link_hosts: Hosts = ()
    retry_url: SafeLink = None
    booking_url: SafeLink = None
    support_url: SafeLink = None
    cinemas: dict[str, CinemaSettings] = Field(default={})
    refund_days: dict[str, BusinessDays] = Field(default={})
    show_minutes: Annotated[int, Field(ge=1, le=24 * 60)] | None = None
    arrive_minutes: Annotated[int, Field(ge=1, le=24 * 60)] | None = None
    cancel_hours: Annotated[int, Field(ge=0, le=30 * 24)] | None = None
    default_locale: Annotated[str, AfterValidator(check_locale)] = "en_US"
    default_time_zone: Annotated[str | None, AfterValidator(check_zone)] = None
    default_currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "USD"

    @property
    def retention_policy(self) -> RetentionPolicy:
        return RetentionPolicy(self.record_days_full, self.record_days)

    @property
    def retention_problem(self) -> str | None:
        """Which records would be removed while a replay or a verdict may still need them; None if there are none."""
        for name, days in (("RECORD_DAYS_FULL", self.record_days_full), ("RECORD_DAYS", self.record_days)):
            if days and days < self.parking_days:
                return f"{name}={days:g} is less than PARKING_DAYS={self.parking_days:g}: a replay needs its record"
        if self.record_days and self.record_days < self.verdict_days:
            return (
                f"RECORD_DAYS={self.record_days:g} is less than VERDICT_DAYS={self.verdict_days:g}: "
                "a verdict needs its record"
            )
        return None
