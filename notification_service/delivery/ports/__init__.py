"""What the delivery needs from outside. Adapters and their in-memory twins implement it.

Imports contract and foundation only.
"""
