"""What people would build instead: the same service on Celery, on Dramatiq, and on aio-pika by hand.

Each does the same job as its users would write it, with the settings that its docs recommend for durable
work: ``POST /send`` stores the email durably (majority, journalled) and queues its id with a publisher
confirm; a worker reads the email, calls the provider over a kept connection, records the result and only
then acknowledges; ``POST /webhooks/mail-delivery-service`` verifies the signature and records the report.
Lanes are priorities of one ``x-max-priority`` queue. Each has workers on both cores, and may have 32 calls
out at once, as postroom, wherever that costs no process a call.

What all of them lack, and no setting of theirs gives:

- *Nothing accepted is lost.* The document and the message are two writes with nothing between them. A
  process that dies between them, or a broker that is away, leaves an email that was stored and will never be
  sent. (The caller had no 202 then; but one who repeats has a second document.) A message that the broker
  loses is lost for good: nothing looks for emails without one.
- *Nothing is sent twice.* A worker that dies between the provider's yes and the write, or whose connection
  drops meanwhile, has its message delivered again, and the email is sent again. A read timeout is retried
  blindly. The check of the state before the call doesn't help against two copies at the same time.
- *A provider that is away harms nobody else.* No breaker, no limit that follows the provider; every failure
  spends an attempt.
- *Capacity is reserved for critical emails.* Priorities order what waits; they don't free a worker that waits
  for a slow provider.
"""
