"""Twilio's Messages API (2010-04-01): one request a message, what its replies mean, and its list of messages."""
