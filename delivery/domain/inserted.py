"""What became of documents that were inserted in one call."""

from dataclasses import dataclass

from delivery.domain.errors import NotStored


@dataclass(frozen=True, slots=True)
class Inserted:
    """Ids of the documents that are not new.

    known: were there before and are unchanged. failed: are not there.
    """

    known: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()

    def __or__(self, other: "Inserted") -> "Inserted":
        return Inserted(self.known | other.known, self.failed | other.failed)

    def failure_of(self, document_id: str) -> NotStored | None:
        """The error that the one who wrote this document, and nobody else, should hear."""
        return NotStored("the store did not take it") if document_id in self.failed else None
