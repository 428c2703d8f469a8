"""Logs, metrics, traces, health: what operators see.

Observes the delivery; the delivery does not know it.
"""
