"""Makes from the settings what composes e-mails: templates, the sender's profile, wallets, links for readers."""

from collections.abc import Callable, Collection
from pathlib import Path

from notification_service.channels.email.composer import EmailComposer
from notification_service.channels.email.mime import SenderIdentity
from notification_service.channels.email.rendering import Renderer
from notification_service.channels.email.smtp import sending_services
from notification_service.channels.email.template_loading import load
from notification_service.channels.email.wallet.tickets import PassFiles, SaveLinks, Wallets
from notification_service.content import branding, links, variant_folders
from notification_service.content.branding import Brand
from notification_service.content.localization import Cinema, Defaults
from notification_service.content.profile import Policies, SenderProfile
from notification_service.content.reader_links import ReaderLinks
from notification_service.contract.variants import Variant, variant_name
from notification_service.foundation.errors import ConfigurationError
from notification_service.settings import Settings, Tracking, WalletSettings, plain

_SIMULATED_SENDER = "tickets@cinema.example"


def templates_directory(settings: Settings) -> Path:
    """The folder of the setting, else that inside the package, else that of the checkout."""
    if settings.service.templates_dir is not None:
        return settings.service.templates_dir
    package = Path(__file__).parents[1]
    packaged = package / "templates"
    return packaged if packaged.is_dir() else package.parent / "templates"


def load_renderer(settings: Settings) -> Renderer:
    """Load the templates. Raises `ConfigurationError` with file and line if one is wrong, or a file of a wallet.

    It also raises it if a variant that a setting names is missing.
    """
    renderer = load(templates_directory(settings), profile(settings), wallets(settings))
    experiment, shadow = settings.service.experiment, settings.service.shadow_variant
    if experiment:
        variant_folders.require(renderer.templates, variant_name(experiment.template, Variant.B), "EXPERIMENT")
    if shadow:
        variant_folders.require(renderer.templates, shadow, "SHADOW_VARIANT")
    return renderer


def wallets(settings: Settings) -> Wallets:
    """The wallets that are set up. Raises `ConfigurationError` if one of their files cannot be used."""
    return Wallets(_apple_wallet(settings.wallet), _google_wallet(settings.wallet))


def _apple_wallet(wallet: WalletSettings) -> PassFiles | None:
    certificate, key, wwdr = wallet.apple_certificate, wallet.apple_key, wallet.apple_wwdr
    if certificate is None or key is None or wwdr is None:
        return None
    from notification_service.channels.email.wallet import apple  # noqa: PLC0415 - what is off is not imported

    return apple.AppleWallet(apple.read_signer(certificate, key, wwdr, plain(wallet.apple_key_password)))


def _google_wallet(wallet: WalletSettings) -> SaveLinks | None:
    if wallet.google_service_account_file is None or wallet.google_issuer_id is None:
        return None
    from notification_service.channels.email.wallet.google import GoogleWallet  # noqa: PLC0415
    from notification_service.channels.service_keys import read_service_key  # noqa: PLC0415 - as above

    key = read_service_key(wallet.google_service_account_file, "WALLET_GOOGLE_SERVICE_ACCOUNT_FILE")
    return GoogleWallet(key, wallet.google_issuer_id)


def profile(settings: Settings) -> SenderProfile:
    """The sender's brand, defaults, links and policies. Raises `ConfigurationError` if the logo cannot be read."""
    service, brand = settings.service, settings.brand
    return SenderProfile(
        Brand(
            name=brand.name or settings.sender.name,
            support_email=brand.support_email,
            site_url=brand.site_url,
            address=brand.address,
            sender=settings.sender_address or _SIMULATED_SENDER,
            colour=brand.colour,
            logo=branding.read_logo(brand.logo) if brand.logo else None,
        ),
        Defaults(
            service.default_locale,
            service.default_time_zone,
            service.default_currency,
            {name.casefold(): Cinema(**cinema.model_dump()) for name, cinema in service.cinemas.items()},
        ),
        links.LinkPatterns(
            hosts=frozenset(host.lower() for host in service.link_hosts),
            retry=service.retry_url,
            booking=service.booking_url,
            support=service.support_url,
        ),
        Policies(
            refund_days={method.casefold(): days for method, days in service.refund_days.items()},
            show_minutes=service.show_minutes,
            arrive_minutes=service.arrive_minutes,
            cancel_hours=service.cancel_hours,
        ),
    )


def email_composer(settings: Settings, renderer: Renderer, *, preview: bool = False) -> EmailComposer:
    """`preview`: its mails reach no reader, so no link in them leads by way of our listener.

    Raises `ConfigurationError` if readers could not unsubscribe from an optional template.
    """
    return EmailComposer(
        renderer,
        sender_identity(settings),
        max_attachment_bytes=settings.service.max_attachment_bytes,
        reader_links=None if preview else reader_links(settings, renderer.optional_templates),
    )


def reader_links(settings: Settings, optional_templates: Collection[str]) -> ReaderLinks | None:
    """What makes the links that lead by way of our listener; None where no mail needs one.

    Raises `ConfigurationError` if readers could not unsubscribe from an optional template.
    """
    tracking, url = settings.tracking, settings.feedback.callback_url or ""
    clicks = tracking.tracking is Tracking.CLICKS
    if optional_templates:
        _check_unsubscribing(settings, min(optional_templates))
    elif not clicks:
        return None
    return ReaderLinks(tracking.token_keys, url, clicks)


def _check_unsubscribing(settings: Settings, template: str) -> None:
    """Raises `ConfigurationError`. RFC 8058 requires https."""
    needed = {
        "CALLBACK_URL with https": (settings.feedback.callback_url or "").startswith("https://"),
        "LINK_KEYS": bool(settings.tracking.link_keys),
        "a SUPPRESSION that is not false": settings.suppression,
    }
    if missing := [name for name, there in needed.items() if not there]:
        raise ConfigurationError(
            f"template {template} is optional, so readers may unsubscribe from it: that needs {', '.join(missing)}"
        )


def sender_identity(settings: Settings) -> SenderIdentity:
    """With an envelope sender for each notification, and a tag for the server's reports, where the settings ask."""
    service = sending_services.find(settings.smtp.host) if settings.feedback.has_webhooks else None
    return SenderIdentity(
        settings.sender_address or _SIMULATED_SENDER,
        settings.sender.name,
        _return_path(settings),
        service.tag if service else None,
    )


def _return_path(settings: Settings) -> Callable[[str], str] | None:
    if settings.feedback.return_path_domain is None:
        return None
    from notification_service.feedback.return_path import ReturnPath  # noqa: PLC0415 - only where it is asked for

    return ReturnPath(settings.tracking.token_keys, settings.feedback.return_path_domain).of
