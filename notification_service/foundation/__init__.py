"""What would fit any service: addresses, batching, caching, errors, outages, redaction, trace context.

Imports nothing of this package.
"""
