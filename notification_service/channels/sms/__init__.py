"""SMS: texts in segments, numbers, and the transports of Twilio and AWS SNS.

Imports the ports and data types of delivery, content, contract and foundation.
"""
