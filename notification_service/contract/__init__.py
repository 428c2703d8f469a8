"""What the booking system publishes and what follows from it: events, facts, rules, outcomes.

Imports foundation only.
"""
