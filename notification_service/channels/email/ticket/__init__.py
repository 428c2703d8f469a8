"""Parts of a ticket: the QR code, the calendar file, the schema.org reservation.

Imports nothing of the service.
"""
