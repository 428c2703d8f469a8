"""The webhooks of mail providers: how each signs what it says, and how it says it."""
