"""Renders subject, text and HTML of an e-mail from its folder under `templates/`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Any

from markupsafe import Markup

from notification_service.channels.email import attachments, mail_remarks, subjects
from notification_service.channels.email.mail import PARTS, Attachment, Mail, MailTemplate
from notification_service.channels.email.ticket.qr import QrCode
from notification_service.channels.email.wallet.tickets import Wallets
from notification_service.content import (
    cancellation_causes,
    catalogues,
    decline_reasons,
    formatting,
    line_breaking,
    links,
)
from notification_service.content.branding import Brand
from notification_service.content.event_text import cleaned, earlier_show, isolated, isolated_text, salutation
from notification_service.content.localization import Localization
from notification_service.content.profile import SenderProfile
from notification_service.content.reader_links import LinksOfMessage
from notification_service.content.templates import failed_at
from notification_service.contract.events import BookingCancelled, BookingConfirmed, Event, PaymentFailed
from notification_service.contract.remarks import Remark
from notification_service.delivery.ports.composer import CompositionError
from notification_service.delivery.ports.directory import Recipient

_CODE, _CALENDAR, _LOGO, _PASS = "ticket.png", "booking.ics", "logo.png", "ticket.pkpass"
_PKPASS = "application/vnd.apple.pkpass"
_NO_WALLETS = Wallets()


_EXPIRED = "goes without a pass: WALLET_APPLE_CERTIFICATE or WALLET_APPLE_WWDR has expired: renew it and restart"
_TOO_LONG = "goes without a link to Google Wallet: the link would be too long for a browser"


@dataclass(frozen=True, slots=True)
class WalletLinks:
    """`apple`: whether a pass is attached. `google`: the link; None where there is none."""

    apple: bool = False
    google: str | None = None


_NO_LINKS = WalletLinks()


class Renderer:
    """Renders e-mails from compiled templates. `template_loading.load` builds it."""

    def __init__(
        self,
        templates: Mapping[str, Mapping[str, MailTemplate]],
        profile: SenderProfile,
        wallets: Wallets = _NO_WALLETS,
    ) -> None:
        self._templates = templates
        self._profile = profile
        self._wallets = wallets
        self._brands: dict[str, Brand] = {}

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(self._templates)

    @property
    def optional_templates(self) -> frozenset[str]:
        """Those that a reader may unsubscribe from."""
        return frozenset(name for name, each in self._templates[catalogues.SOURCE].items() if each.optional)

    @property
    def templates(self) -> tuple[str, ...]:
        """The names of all templates and variants."""
        return tuple(self._templates[catalogues.SOURCE])

    def digest(self, template: str) -> str:
        """Raises `CompositionError` where there is no such template or variant."""
        return self._parts(catalogues.SOURCE, template).digest

    def zone(self, event: Event) -> tzinfo | None:
        """Returns the time zone of the event's mail; None where it is unknown."""
        return self._profile.defaults.for_event(event).zone

    def render(
        self,
        template: str,
        event: Event,
        person: Recipient,
        language: str | None = None,
        *,
        max_attachment_bytes: int | None = None,
        reader_links: LinksOfMessage | None = None,
    ) -> Mail:
        """Render the mail of an event.

        `language`: one of `languages`, for previews, instead of that of event and recipient.
        `max_attachment_bytes`: of all attachments together; those that do not fit are left out with a remark.
        `reader_links`: makes the links of this message that lead by way of our listener; None in previews.

        Raises `CompositionError` with file and line where the template is at fault.
        """
        localization = self._localization(event, person, language)
        parts = self._parts(localization.language, template)
        try:
            return self._render(
                parts,
                event,
                person,
                localization,
                max_attachment_bytes=max_attachment_bytes,
                reader_links=reader_links,
            )
        except Exception as problem:  # a template may raise anything
            raise CompositionError(failed_at(problem, template, PARTS), str(problem)) from problem

    def _parts(self, language: str, template: str) -> MailTemplate:
        try:
            return self._templates[language][template]
        except KeyError:
            raise CompositionError(template, "there is no such template or variant") from None

    def _localization(self, event: Event, person: Recipient, language: str | None) -> Localization:
        localization = self._profile.defaults.for_event(event, person.locale)
        if language is None:
            return localization
        locale = catalogues.locale_of(language)
        return replace(
            localization, language=language, locale=localization.locale if localization.language == language else locale
        )

    def _render(
        self,
        parts: MailTemplate,
        event: Event,
        person: Recipient,
        localization: Localization,
        *,
        max_attachment_bytes: int | None,
        reader_links: LinksOfMessage | None,
    ) -> Mail:
        event = cleaned(event)
        context, refused = self._context(event, person, localization)
        code = attachments.ticket_code(event)
        passes, save_link, not_made = self._wallet(parts, event, localization)
        files, left_out = mail_remarks.within_size(
            [*self._files(parts, event, localization, code), *passes], max_attachment_bytes
        )
        attached, shown = {file.filename for file in files}, isolated(event, localization)
        brand: Brand = context["brand"]
        context |= {
            "subject": subjects.subject(parts.subject, shown, context),
            "event": shown,
            "brand": replace(brand, logo=None) if brand.logo and _LOGO not in attached else brand,
            "code": code if _CODE in attached else None,
            "calendar": _CALENDAR in attached,
            "wallet": WalletLinks(apple=_PASS in attached, google=save_link) if passes or save_link else _NO_LINKS,
            "words": parts.phrases,
            "unsubscribe": reader_links.unsubscribe(localization.language) if reader_links and parts.optional else None,
        }
        text = line_breaking.tidy(parts.text.render(context))
        if reader_links:
            # The text part shows its links as they are: nobody reads the address of a redirect.
            context["links"] = reader_links.tracked(context["links"])
        html = parts.html.render(context)
        remarks = [
            *refused,
            *mail_remarks.of_language(event, person, localization, self._profile.defaults.languages),
            *mail_remarks.of_values(event, localization),
            *left_out,
            *not_made,
        ]
        return Mail(context["subject"], text, html, tuple(files), tuple(remarks), context["unsubscribe"])

    def _context(
        self, event: Event, person: Recipient, localization: Localization
    ) -> tuple[dict[str, Any], list[Remark]]:
        profile = self._profile
        cinema = profile.defaults.cinema(event)
        found, refused = links.for_event(event, profile.links, site=profile.brand.site_url, cinema_map=cinema.map_url)
        machine_readable = attachments.json_ld(
            event, localization, person, cinema, url=found.booking, minutes=profile.policies.show_minutes
        )
        failed = event if isinstance(event, PaymentFailed) else None
        name = salutation(person.first_name, person.last_name, localization)
        address = isolated_text(cinema.address, localization)
        reason, cause = decline_reasons.reason(failed) if failed else None, cancellation_causes.cause(event)
        context = {
            "person": person if name == person.first_name else replace(person, first_name=name),
            "brand": self._brand(localization),
            "links": found,
            "style": localization,
            "before": earlier_show(event, localization),
            "cinema": cinema if address == cinema.address else replace(cinema, address=address),
            "terms": profile.policies,
            "reason": reason,
            "error_code": isolated_text(decline_reasons.error_code(failed), localization)
            if failed and not reason
            else None,
            "by_card": decline_reasons.by_card(failed) if failed else False,
            "nothing_charged": decline_reasons.nothing_charged(failed) if failed else False,
            "may_still_be_charged": bool(failed) and decline_reasons.may_still_be_charged(reason),
            "cause": cause,
            "by_cinema": cause in cancellation_causes.BY_THE_CINEMA,
            # `attachments.json_ld` escapes it for a script element.
            "json_ld": Markup(machine_readable) if machine_readable else None,  # noqa: S704 - as said above
        }
        return context, refused

    def _brand(self, localization: Localization) -> Brand:
        """The brand, isolated for mails of this direction, cached."""
        if localization.dir not in self._brands:
            name, address = formatting.isolated(self._profile.brand.name, localization), self._profile.brand.address
            self._brands[localization.dir] = replace(
                self._profile.brand, name=name, address=isolated_text(address, localization)
            )
        return self._brands[localization.dir]

    def _files(
        self, parts: MailTemplate, event: Event, localization: Localization, code: QrCode | None
    ) -> list[Attachment]:
        """The attachments, the most important first: QR code, calendar file, logo."""
        logo = self._profile.brand.logo
        return [
            *([Attachment(_CODE, "image/png", code.png, attachments.QR_ID)] if code else []),
            *_calendar_files(parts, event, localization, self._profile),
            *([Attachment(_LOGO, "image/png", logo.png, logo.content_id)] if logo else []),
        ]

    def _wallet(
        self, parts: MailTemplate, event: Event, localization: Localization
    ) -> tuple[list[Attachment], str | None, list[Remark]]:
        """The pass for Apple Wallet, the link to Google Wallet, and a remark for each that could not be made."""
        apple, google = self._wallets.apple, self._wallets.google
        if apple is None and google is None:
            return [], None, []
        brand, cinema = self._profile.brand, self._profile.defaults.cinema(event)
        ticket = attachments.wallet_ticket(event, localization, cinema, parts.phrases.wallet_label)
        if ticket is None:
            return [], None, []
        file = apple.pass_file(ticket, brand) if apple else None
        link = google.link(ticket, brand) if google else None
        remarks = [Remark("wallet", _EXPIRED)] if apple and not file else []
        remarks += [Remark("wallet", _TOO_LONG)] if google and not link else []
        return [Attachment(_PASS, _PKPASS, file)] if file else [], link, remarks


def _calendar_files(
    parts: MailTemplate, event: Event, localization: Localization, profile: SenderProfile
) -> list[Attachment]:
    if not isinstance(event, BookingConfirmed | BookingCancelled):
        return []
    content = attachments.calendar_file(
        event,
        localization,
        profile.brand,
        profile.defaults.cinema(event),
        summary=subjects.one_line(parts.phrases.calendar_summary(event.movie_title, profile.brand)),
        alarm=subjects.one_line(parts.phrases.calendar_alarm(event.movie_title, profile.brand)),
        minutes=profile.policies.calendar_minutes,
    )
    method = "CANCEL" if isinstance(event, BookingCancelled) else "PUBLISH"
    return [Attachment(_CALENDAR, f"text/calendar; method={method}; charset=utf-8", content)] if content else []
