"""AMQP in: one file per queue, one runtime, one settlement table, and the relay and reconciler loops."""
