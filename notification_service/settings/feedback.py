"""The public listener for what providers and readers tell us after a message was sent."""

from notification_service.settings.fields import Origin, SettingsGroup


class FeedbackSettings(SettingsGroup):
    """`callback_url`: the scheme and host under which the public listener is reached from outside."""

    callback_url: Origin = None
