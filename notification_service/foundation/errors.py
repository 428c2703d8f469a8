"""Errors, typed by who is at fault: a store, the operator, a channel, a dependency."""

EXIT_UNAVAILABLE = 69
EXIT_OUTPUT = 74
EXIT_CONFIGURATION = 78
"""The exit codes of sysexits.h for these errors, and for output that cannot be written."""


class StoreUnavailableError(Exception):
    """Redis or MongoDB cannot be reached: no message is to blame, and the call may be repeated.

    `store` names it for logs and for the health page.
    """

    def __init__(self, store: str, detail: str) -> None:
        super().__init__(f"{store} cannot be reached: {detail}")
        self.store = store


class ConfigurationError(Exception):
    """The operator is to blame; the text names the setting or file and says what to do (exit code 78)."""


INVALID_URL = "is not a valid URL; special characters in its user and password have to be percent-encoded"
"""The message for a URL setting, whose value may hold a password and must not be repeated."""


class ChannelUnavailableError(Exception):
    """A channel cannot send any message; the text says why, and what to do about it."""


class DependencyError(Exception):
    """A dependency did not become available; the text names it and its setting (exit code 69)."""


class EventRefusedError(DependencyError):
    """RabbitMQ refuses this event, but may accept others; the text says why, and what to do."""

    def __init__(self, event_id: str, problem: str) -> None:
        self.event_id = event_id
        super().__init__(
            f"RabbitMQ refuses event {event_id}: {problem}; where it is too large, raise max_message_size in "
            "rabbitmq.conf, or have the booking system publish it smaller"
        )
