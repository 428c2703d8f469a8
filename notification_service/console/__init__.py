"""The web console: the history of each notification, what waits for a person, and reconciliation."""
