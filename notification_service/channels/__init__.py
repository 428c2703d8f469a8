"""How messages leave: a folder for each kind, and the breaker that all share.

Imports delivery's ports, content, contract and foundation.
"""
