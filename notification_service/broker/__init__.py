"""RabbitMQ: queues as data, the connection, the consumer that acks, the parking queue.

The only folder that knows AMQP.
"""
