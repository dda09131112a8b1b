"""Flask and Celery, with the settings that its docs recommend for durable tasks on RabbitMQ.

Publisher confirms, late acknowledgement, a prefetch multiplier of 1 (which late acknowledgement and
priorities ask for), no results, a pool of as many connections as the API has threads:
https://docs.celeryq.dev/en/stable/userguide/optimizing.html
https://docs.celeryq.dev/en/stable/userguide/routing.html#rabbitmq-message-priorities
https://docs.celeryq.dev/en/stable/userguide/tasks.html#automatic-retry-for-known-exceptions

Run as prefork (8 processes: the docs advise against many more than there are cores) or as threads (2
processes of 16).

Lacks, beyond what all peers do: a retry waits in the worker's memory as an unacknowledged message with an
ETA, outside of the prefetch limit, and RabbitMQ closes the channel after half an hour of that; each email
that a failing provider refuses holds one more. An email that ran out of retries leaves a line in the log, and
no dead letter.
"""

import os
from functools import cache
from typing import Any

import requests
from celery import Celery
from flask import Flask
from kombu import Exchange, Queue, serialization

from bench.peers.emails import Emails
from bench.peers.provider import Provider, Refused
from bench.peers.settings import API_THREADS, MAX_PRIORITY, MAX_RETRIES, PRIORITIES, QUEUE, load_settings
from bench.peers.web import create_flask_app

settings = load_settings(os.environ)

app = Celery("peer", broker=settings.amqp_url)
app.conf.update(
    broker_transport_options={"confirm_publish": True},
    broker_pool_limit=API_THREADS,
    broker_connection_retry_on_startup=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    task_queues=[
        Queue(QUEUE, Exchange(QUEUE), routing_key=QUEUE, queue_arguments={"x-max-priority": MAX_PRIORITY})
    ],
    task_default_queue=QUEUE,
    task_default_priority=PRIORITIES["standard"],
    worker_prefetch_multiplier=1,
)


@cache
def emails() -> Emails:
    """Made at the first task, and so after the fork."""
    return Emails(settings.mongodb_uri)


@cache
def provider() -> Provider:
    return Provider(settings.provider_url)


@app.task(
    name="submit",
    autoretry_for=(requests.RequestException,),
    max_retries=MAX_RETRIES,
    retry_backoff=True,
    retry_backoff_max=600,
    retry_jitter=True,
)
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
    return create_flask_app(lambda email_id, priority: submit.apply_async((email_id,), priority=priority))


def message(email_id: str) -> tuple[bytes, dict[str, Any], str]:
    """What ``submit.apply_async`` would publish, without publishing it: body, headers, correlation id."""
    made = app.amqp.as_task_v2(email_id, submit.name, args=(email_id,), ignore_result=True)
    _, _, body = serialization.dumps(made.body, serializer="json")
    return body.encode(), made.headers, email_id
