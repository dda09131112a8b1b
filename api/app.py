"""The app factory."""

import os
from functools import partial

from flask import Flask

from api import (
    authentication,
    documentation,
    email_reading,
    email_webhook,
    emails,
    errors,
    health,
    rate_limits,
    sending,
    stats,
    status,
    webhooks,
)
from api.fast_path import FastPath
from api.waiting import OutcomeWaits
from delivery.bootstrap import ApiParts, build_api
from delivery.config import load_config
from delivery.config_values import ApiConfig


def create_app(parts: ApiParts | None = None) -> Flask:
    """Build the app of one process. Call it after the fork; it starts no thread and opens no connection."""
    parts = parts or build_api(load_config(os.environ))
    config = parts.config
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = config.api.max_body_bytes
    app.config["MOST_BODY"] = partial(_most_body, config=config.api)
    # Both answer with HTML of Flask's own: a redirect to a path without doubled slashes, and OPTIONS.
    app.url_map.merge_slashes = False
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.json.sort_keys = False
    app.extensions["postroom"] = parts
    app.extensions["fast_path"] = FastPath(parts)  # for gunicorn_worker.py
    waits = OutcomeWaits(parts.store.emails, most=config.api.threads // 2)
    errors.register(app)
    authentication.register(app, callers=parts.callers)
    rate_limits.register(app, limits=parts.limits)
    app.register_blueprint(sending.blueprint(parts, waits))
    app.register_blueprint(emails.blueprint(parts))
    app.register_blueprint(email_reading.blueprint(parts))
    app.register_blueprint(status.blueprint(parts))
    app.register_blueprint(email_webhook.blueprint(parts))
    app.register_blueprint(stats.blueprint(parts))
    app.register_blueprint(webhooks.blueprint(parts))
    app.register_blueprint(health.blueprint(parts))
    app.register_blueprint(documentation.blueprint())
    return app


def _most_body(path: str, *, config: ApiConfig) -> int:
    """Bytes that are taken in of a body, before anything is known of the request but its path."""
    has_attachments = path.startswith(emails.PREFIX)
    return (
        max(config.max_email_body_bytes, config.max_body_bytes) if has_attachments else config.max_body_bytes
    )
