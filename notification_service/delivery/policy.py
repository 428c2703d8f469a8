"""What an operator may choose about how notifications are delivered."""

from dataclasses import dataclass

from notification_service.contract.events import Event
from notification_service.contract.notification_rules import is_ticket
from notification_service.delivery.ports.directory import ConsentRule
from notification_service.delivery.quiet_hours import QuietHours
from notification_service.delivery.retries import RetrySchedule
from notification_service.delivery.show_changes import Zone


@dataclass(frozen=True, slots=True)
class Policy:
    """`zone`: the time zone in which an event's show takes place, where one is known."""

    retry_schedule: RetrySchedule
    max_event_bytes: int
    zone: Zone
    hold_unknown: frozenset[str] = frozenset()
    """Templates whose message is never sent again when it may have gone out."""
    express: bool = False
    """Whether each ticket's event also comes as a copy on the express lane."""
    ask_consent: bool = False
    """Whether clicks are counted where a reader agrees."""
    relevance_lasts_s: float = 1.0
    """For how long a message counts as still needed. Behind a backlog and a long wire, an ordinary one waits less;
    one whose try sent nothing is asked about again in any case."""
    not_selected: frozenset[str] = frozenset()
    """Types of events that are only recorded, to know what they make obsolete."""
    max_resends: int = 1
    """How often one of the other templates is, at most. More than once only where the last replaces those before it."""

    consent: ConsentRule | None = None
    """What a recipient has to have said about its channel; None where nobody is asked."""
    quiet_hours: QuietHours | None = None
    """The time of day in which its channel wakes nobody; None where there is none."""

    def max_resends_of(self, template: str) -> int:
        return 0 if template in self.hold_unknown else self.max_resends

    def is_on_express_lane(self, event: Event) -> bool:
        return self.express and is_ticket(event)
