"""The collection ``attachments``: the bytes of attachments, in pieces, apart from the emails they belong to.

They are written before their email is, so that no accepted email lacks one. Until sweep() has seen the email
a piece is ``pending_since`` its writing; what has no email after an hour has none for good, and is deleted.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from pymongo import ASCENDING, ReplaceOne
from pymongo.database import Database

from delivery.domain.emails import Attachment, NewEmail
from delivery.domain.errors import AttachmentsMissing
from delivery.store.client import Document, store_errors
from delivery.store.indexes import SET

PIECE = 1024 * 1024
"""Bytes of a document: each call to the store has a deadline, and MongoDB takes at most 16 MiB a document."""

MAX_WRITE = 2 * PIECE
"""Bytes of a call."""

ORPHANED_AFTER = timedelta(hours=1)
"""An email is written within seconds of its attachments."""


class Attachments:
    """Every method raises StoreUnavailable when the store is away."""

    def __init__(self, db: Database[Document]) -> None:
        self._attachments = db.attachments
        self._emails = db.emails

    def put(self, new: Sequence[NewEmail]) -> None:
        """Write the bytes of emails that are about to be stored. Repeating it, wholly or in part, is safe."""
        for batch in _batches(piece for email in new for piece in _pieces(email)):
            # Also what is there already: it may be about to be swept.
            writes = [ReplaceOne({"_id": piece["_id"]}, piece, upsert=True) for piece in batch]
            with store_errors():
                self._attachments.bulk_write(writes, ordered=False)

    def load(self, email_id: str, attachments: Iterable[Attachment]) -> tuple[bytes, ...]:
        """The bytes of an email's attachments, in their order. Raises AttachmentsMissing."""
        return tuple(self._body(email_id, number, one.size) for number, one in enumerate(attachments))

    def sweep(self, *, now: datetime, limit: int) -> int:
        """Delete what no email came to, and strike what one did; returns how many pieces were looked at."""
        cutoff = now - ORPHANED_AFTER
        query = {"pending_since": {**SET, "$lte": cutoff}}
        with store_errors():
            found = list(
                self._attachments.find(query, {"email_id": 1}).sort("pending_since", ASCENDING).limit(limit)
            )
            if not found:
                return 0
            by_email: dict[str, list[str]] = defaultdict(list)
            for document in found:
                by_email[document["email_id"]].append(document["_id"])
            accepted = self._emails.find({"_id": {"$in": list(by_email)}}, {"_id": 1})
            kept = [piece for email in accepted for piece in by_email.pop(email["_id"])]
            orphans = [piece for pieces in by_email.values() for piece in pieces]
            self._attachments.update_many({"_id": {"$in": kept}}, {"$unset": {"pending_since": ""}})
            # Conditional on the time: whoever repeats the request writes the piece anew.
            self._attachments.delete_many({"_id": {"$in": orphans}, **query})
        return len(found)

    def _body(self, email_id: str, number: int, size: int) -> bytes:
        """One attachment, a piece at a time."""
        pieces: list[bytes] = []
        with store_errors():
            for piece in range(-(-size // PIECE)):
                found = self._attachments.find_one({"_id": _piece_id(email_id, number, piece)}, {"bytes": 1})
                if found is None:
                    raise AttachmentsMissing
                pieces.append(found["bytes"])
        body = b"".join(pieces)
        if len(body) != size:
            raise AttachmentsMissing
        return body


def _pieces(email: NewEmail) -> Iterator[Document]:
    for number, body in enumerate(email.request.attached):
        for piece, start in enumerate(range(0, len(body), PIECE)):
            yield {
                "_id": _piece_id(email.email_id, number, piece),
                "tenant_id": email.tenant_id,
                "email_id": email.email_id,
                "pending_since": email.accepted_at,
                "bytes": body[start : start + PIECE],
            }


def _batches(pieces: Iterable[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    for piece in pieces:
        if batch and sum(len(each["bytes"]) for each in batch) + len(piece["bytes"]) > MAX_WRITE:
            yield batch
            batch = []
        batch.append(piece)
    if batch:
        yield batch


def _piece_id(email_id: str, number: int, piece: int) -> str:
    return f"{email_id}/{number}/{piece}"
