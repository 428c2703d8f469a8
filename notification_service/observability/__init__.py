"""Logs, metrics, traces, health: what operators see.

Imports delivery, which does not import it.
"""
