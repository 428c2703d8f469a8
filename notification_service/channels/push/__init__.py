"""Push: one message to each of a person's devices, by FCM or APNs.

Imports content, contract, delivery's ports and channels.http_client.
"""
