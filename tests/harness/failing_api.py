"""``gunicorn … 'tests.harness.failing_api:create_app()'``: the product's API, with one part armed."""

import os

from flask import Flask

import api
from delivery.bootstrap import API_STORE_TIMEOUT, build_publisher, build_store, join_api
from delivery.broker.publisher import Publisher
from delivery.config import load_config
from tests.harness.failpoints import arm, arm_store, failpoint_of


def create_app() -> Flask:
    config, failpoint = load_config(os.environ), failpoint_of(os.environ)

    def make_publisher() -> Publisher:
        publisher = build_publisher(config, role="api")
        armed: Publisher = arm(publisher, failpoint) if failpoint.part == "publisher" else publisher
        return armed

    store = arm_store(build_store(config, timeout=API_STORE_TIMEOUT), failpoint)
    return api.create_app(join_api(config, store=store, make_publisher=make_publisher))
