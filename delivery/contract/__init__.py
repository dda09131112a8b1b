"""What callers may send us: the schemas that both ways in, HTTP and AMQP, validate with."""
