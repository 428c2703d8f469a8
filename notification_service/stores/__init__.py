"""The stores: claims, rates and sessions in Redis, records in MongoDB, and in-memory twins of both.

Imports the ports, rate limits and retention policy of delivery, contract and foundation.
"""
