"""The counters and histograms, by what they are about. Every label has a closed set of values."""

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Histogram

from notification_service.delivery.observer import Stage

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_STAGE_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_DELAY_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400)
_MINUTES_BEFORE_SHOW = (0, 5, 15, 30, 60, 120, 360, 720, 1440, 4320, 10080)


class EventSeries:
    """What becomes of messages and notifications."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = partial(Counter, registry=registry)
        histogram = partial(Histogram, registry=registry)
        self.events = counter(
            "notification_events_total",
            "Messages settled, by event type and outcome; a repeated report of a fact counts too.",
            ("event_type", "outcome"),
        )
        self.handling = histogram(
            "notification_handling_seconds",
            "From receipt of a message to its settlement.",
            ("outcome",),
            buckets=_SECONDS,
        )
        self.closed = counter(
            "notifications_total",
            "Notifications closed, by template, channel, outcome and reason.",
            ("template", "channel", "outcome", "reason"),
        )
        stages = histogram(
            "notification_stage_seconds",
            "One stage of handling an event, waiting included.",
            ("stage",),
            buckets=_STAGE_SECONDS,
        )
        self.stages = {stage: stages.labels(stage) for stage in Stage}
        self.remarks = counter(
            "notification_remarks_total",
            "Fields of events that were left out of a mail or had an unexpected form, by field.",
            ("field",),
        )


class WaitSeries:
    """What messages wait for."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = partial(Counter, registry=registry)
        self.retries = counter(
            "notification_retries_total",
            "Messages put into a retry queue, by its delay in seconds; counted: true if it used up a retry.",
            ("delay", "counted"),
        )
        self.held_back = counter(
            "notification_held_back_total",
            "Messages that wait because of a setting, quiet hours or a rate limit, by channel and setting.",
            ("channel", "setting"),
        )


class MailSeries:
    """What mail servers take, and how long after the event."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = partial(Counter, registry=registry)
        histogram = partial(Histogram, registry=registry)
        self.replies = counter(
            "notification_smtp_replies_total",
            "The last reply of each SMTP transaction, by class: 2xx, 4xx, 5xx, or none if the connection broke; "
            "relay is empty where there is no fallback.",
            ("provider", "relay", "reply"),
        )
        self.mailboxes = counter(
            "notification_accepted_total",
            "E-mails that the server took, by template and class of mailbox provider.",
            ("template", "mailbox"),
        )
        self.handed_over = histogram(
            "notification_handed_over_delay_seconds",
            "From the event's own time to its mail being composed.",
            ("template",),
            buckets=_DELAY_SECONDS,
        )
        self.accepted = histogram(
            "notification_accepted_delay_seconds",
            "From the event's own time to the server's 250 reply.",
            ("template",),
            buckets=_DELAY_SECONDS,
        )
        self.left = histogram(
            "notification_before_show_minutes",
            "Minutes before the show when its ticket was accepted; bucket 0 counts those that were too late.",
            buckets=_MINUTES_BEFORE_SHOW,
        )


class SignalSeries:
    """What becomes known about messages after they were sent."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = partial(Counter, registry=registry)
        self.signals = counter(
            "notification_signals_total",
            "What became known about messages after they were sent, by source and kind.",
            ("source", "kind"),
        )
        self.policy_refusals = counter(
            "notification_policy_refusals_total",
            "Refusals by policy (5.7.x) that came as signals: they are about us, and no address is at fault.",
            ("source",),
        )
        self.feedback = counter(
            "notification_feedback_total",
            "The same about e-mails of ours, by template, class of mailbox provider and kind.",
            ("template", "mailbox", "kind"),
        )


class VariantSeries:
    """Tests of two variants, and templates in the shadow."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = partial(Counter, registry=registry)
        self.fallbacks = counter(
            "notification_experiment_fallbacks_total",
            "Messages sent by the control of a test because their variant could not be composed.",
            ("template",),
        )
        self.shadows = counter(
            "notification_shadow_renders_total",
            "Messages composed by a new template beside the one that is sent, by result: same, differs or failed.",
            ("template", "result"),
        )
        self.shadow_bytes = counter(
            "notification_shadow_bytes_total",
            "Size of the messages that both templates composed, by which of them: live or shadow.",
            ("template", "of"),
        )
