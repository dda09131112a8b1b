"""RabbitMQ: the connection, the publisher with its confirms, the outbox that feeds it."""
