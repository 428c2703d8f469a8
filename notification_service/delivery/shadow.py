"""Renders a new template beside the one that is sent, for each event, and compares the two. It is never sent."""

from dataclasses import dataclass, replace

from notification_service.contract.events import Event
from notification_service.contract.variants import control_name
from notification_service.delivery.ports.channel import OutgoingMessage
from notification_service.delivery.ports.composer import Composer, CompositionError, MessageIds
from notification_service.delivery.ports.directory import Recipient
from notification_service.delivery.ports.shadow import ShadowResult


@dataclass(frozen=True, slots=True)
class Shadow:
    """`name`: of the variant that is rendered beside its control, such as `payment_failed@b`."""

    composer: Composer
    name: str

    @classmethod
    def of(cls, composer: Composer, name: str) -> "Shadow | None":
        """None for a channel whose messages the variant does not change."""
        try:
            same = composer.digest(name) == composer.digest(control_name(name))
        except (CompositionError, LookupError):
            return None
        return None if same else cls(composer, name)

    def beside(self, live: OutgoingMessage, event: Event, recipient: Recipient, ids: MessageIds) -> ShadowResult | None:
        """Compose the event by the new template; None where it is none for this message. Never raises."""
        if control_name(ids.template) != control_name(self.name):
            return None
        try:
            made = self.composer.compose(event, recipient, replace(ids, template=self.name))
        except Exception:  # noqa: BLE001 - a template may raise anything, and the live message goes out all the same
            return ShadowResult(self.name, None, len(live.content), differs=True)
        return ShadowResult(self.name, len(made.content), len(live.content), differs=made.content != live.content)
