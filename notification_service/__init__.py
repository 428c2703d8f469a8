"""Booking and payment events become e-mails: nothing lost, nothing sent twice that can be avoided."""

__version__ = "0.1.0"
