"""The emails of a peer: what is valid, how they are stored, and what is asked of the store."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from marshmallow import Schema, fields, validate
from pymongo import MongoClient
from pymongo.write_concern import WriteConcern

from bench.peers.settings import PRIORITIES

Document = dict[str, Any]

DURABLE = WriteConcern(w="majority", j=True)
"""As postroom's: what was accepted is in the journals of a majority."""

STATES = {"DELIVERED": "delivered", "REJECTED": "rejected", "FAILED": "failed"}
"""By the STATUS of a report."""


class EmailSchema(Schema):
    sender = fields.Email(required=True)
    recipient = fields.Email(required=True)
    message = fields.String(required=True, validate=validate.Length(min=1))
    lane = fields.String(load_default="transactional", validate=validate.OneOf(PRIORITIES))


def new_document(email: Mapping[str, Any]) -> Document:
    now = datetime.now(UTC)
    return {"_id": str(uuid4()), **email, "state": "queued", "accepted_at": now, "updated_at": now}


def submission(email: Mapping[str, Any]) -> dict[str, str]:
    """The body of the call to the provider."""
    return {
        "request_id": email["_id"],
        "sender": email["sender"],
        "recipient": email["recipient"],
        "message": email["message"],
    }


def still_queued(email_id: str) -> Document:
    return {"_id": email_id, "state": "queued"}


def not_final(email_id: str) -> Document:
    """A report may come before the worker has recorded the provider's answer."""
    return {"_id": email_id, "state": {"$in": ["queued", "submitted"]}}


def change_to(state: str) -> Document:
    return {"$set": {"state": state, "updated_at": datetime.now(UTC)}}


class Emails:
    """The collection, for those who work in threads. Make it after the fork."""

    def __init__(self, uri: str) -> None:
        client: MongoClient[Document] = MongoClient(uri, tz_aware=True)
        self._emails = client.get_default_database(write_concern=DURABLE)["emails"]

    def add(self, document: Document) -> None:
        self._emails.insert_one(document)

    def find_queued(self, email_id: str) -> Document | None:
        return self._emails.find_one(still_queued(email_id))

    def submitted(self, email_id: str) -> None:
        self._emails.update_one(still_queued(email_id), change_to("submitted"))

    def refused(self, email_id: str) -> None:
        self._emails.update_one(still_queued(email_id), change_to("rejected"))

    def reported(self, email_id: str, state: str) -> None:
        self._emails.update_one(not_final(email_id), change_to(state))
