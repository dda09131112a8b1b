"""Flask and Dramatiq, with delivery confirmed and the broker's priorities.

https://dramatiq.io/guide.html, https://dramatiq.io/reference.html#dramatiq.brokers.rabbitmq.RabbitmqBroker
Messages are acknowledged after the actor has run, as always in Dramatiq. Run with 2 processes of 16 threads.

Lacks, beyond what all peers do: a retry goes to the queue ``emails.DQ``, from which a worker takes it at once
and keeps it in its memory, unacknowledged, until it is due; RabbitMQ closes the channel after half an hour of
that. Dead letters go to ``emails.XQ`` and expire after a week. Prefetch is twice the threads, so a critical
email waits behind what a process has already taken.
"""

import os
from functools import cache

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from flask import Flask

from bench.peers.emails import Emails
from bench.peers.provider import Provider, Refused
from bench.peers.settings import MAX_PRIORITY, MAX_RETRIES, QUEUE, load_settings
from bench.peers.web import create_flask_app

settings = load_settings(os.environ)

broker = RabbitmqBroker(url=settings.amqp_url, confirm_delivery=True, max_priority=MAX_PRIORITY)
dramatiq.set_broker(broker)


@cache
def emails() -> Emails:
    return Emails(settings.mongodb_uri)


@cache
def provider() -> Provider:
    return Provider(settings.provider_url)


@dramatiq.actor(queue_name=QUEUE, max_retries=MAX_RETRIES, min_backoff=1_000, max_backoff=600_000)
def submit(email_id: str) -> None:
    email = emails().find_queued(email_id)
    if email is None:
        return
    try:
        provider().submit(email)
    except Refused:
        emails().refused(email_id)
    else:
        emails().submitted(email_id)


def create_app() -> Flask:
    return create_flask_app(
        lambda email_id, priority: submit.send_with_options(args=(email_id,), broker_priority=priority)
    )


def message(email_id: str) -> bytes:
    """What ``submit.send`` would publish, without publishing it, under the email's id."""
    body: bytes = submit.message(email_id).copy(message_id=email_id).encode()
    return body
