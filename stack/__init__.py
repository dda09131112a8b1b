"""The whole system on one machine: private RabbitMQ, embedded store, simulator, API, consumers."""
