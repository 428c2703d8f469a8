"""SMTP: sessions, logins and tokens, and what a server's replies mean.

Imports the mail of `channels.email`, delivery's ports and foundation.
"""
