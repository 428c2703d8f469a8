"""What the service remembers: claims and rates in Redis, the ledger in MongoDB, and in-memory twins of both.

Imports delivery's ports, contract and foundation.
"""
