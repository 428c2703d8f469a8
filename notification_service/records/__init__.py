"""The records after the fact: audit, reconciliation, retention, erasure, recalls, timeline.

Imports the stores and the broker; no event passes through here.
"""
