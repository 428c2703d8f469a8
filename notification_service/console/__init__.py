"""The web console: what happened to a notification, what waits for a person, and whether the books balance."""
