"""Claims on emails: taken, renewed, given back, settled, run out.

A claim is a token and a lease on the email's document. Whatever a worker writes about an email it claimed,
it writes under its token, so that a worker that lost its claim can't overwrite what happened since.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from pymongo.database import Database

from delivery.domain.clocks import CLOCK_MARGIN
from delivery.domain.emails import ClaimedEmail
from delivery.domain.owed import OwedEmail, OwedTo, Written
from delivery.domain.settlement import Settlement
from delivery.domain.states import CLAIMABLE, State
from delivery.domain.waiting import EXPIRED
from delivery.store.client import Document, store_errors
from delivery.store.email_documents import (
    OWED_FIELDS,
    claimed_of,
    history_entry,
    owed_document,
    owed_of,
    question_document,
)

_CLAIMABLE = [state.value for state in CLAIMABLE]
_OPEN = [State.SUBMITTING.value, State.UNCONFIRMED.value]
"""Where a definite outcome still settles an email: what the provider said is the best evidence there is."""


class Claims:
    """Every method raises StoreUnavailable when the store is away."""

    def __init__(self, db: Database[Document]) -> None:
        self._emails = db.emails

    def claim(
        self, email_ids: Sequence[str], *, gen: int, token: str, until: datetime, now: datetime
    ) -> list[ClaimedEmail]:
        """Claim what waits in this generation, is due and has not expired; returns what was won.

        Two round trips for the whole batch; the second reads all of it, as nearly all is won. The claim also
        strikes the debt: its message has arrived. Repeating a call whose outcome is unknown, with the same
        token, returns what that one won, too, even if the lease has run out since: it was not called, so it
        can be given back.
        """
        with store_errors():
            self._emails.update_many(
                {
                    "_id": {"$in": list(email_ids)},
                    "gen": gen,
                    "state": {"$in": _CLAIMABLE},
                    # Its message came, so it is due by the clock of whoever published that.
                    "due_at": {"$lte": now + CLOCK_MARGIN},
                    "expires_at": {"$not": {"$lte": now}},
                },
                {
                    "$set": {
                        "state": State.SUBMITTING.value,
                        "claim": {"token": token, "at": now, "until": until},
                        "updated_at": now,
                    },
                    "$inc": {"calls": 1},
                    "$unset": {"owed": "", "published": ""},
                },
            )
            found = self._emails.find({"_id": {"$in": list(email_ids)}})
            return [claimed_of(document) for document in found if _is_won(document, token)]

    def expire(self, email_ids: Sequence[str], *, now: datetime) -> list[str]:
        """End those of these waiting emails whose time is over; returns which these were."""
        with store_errors():
            result = self._emails.update_many(
                {
                    "_id": {"$in": list(email_ids)},
                    "state": {"$in": _CLAIMABLE},
                    "expires_at": {"$lte": now},
                },
                {
                    "$set": {
                        "state": State.EXPIRED.value,
                        "updated_at": now,
                        "reason": EXPIRED.reason,
                    },
                    "$unset": {"owed": "", "published": ""},
                    "$push": history_entry(State.EXPIRED, at=now),
                },
            )
            if result.matched_count == len(email_ids):
                return list(email_ids)
            return self._moved_to(State.EXPIRED, email_ids, at=now)

    def renew(self, email_ids: Sequence[str], *, tokens: Sequence[str], until: datetime) -> None:
        """Prolong the leases of claims that are still held."""
        with store_errors():
            self._emails.update_many(
                {
                    "_id": {"$in": list(email_ids)},
                    "claim.token": {"$in": list(tokens)},
                    "state": State.SUBMITTING.value,
                },
                {"$set": {"claim.until": until}},
            )

    def give_back(self, claimed: Sequence[ClaimedEmail], *, now: datetime) -> list[OwedEmail]:
        """Queue again what was claimed and never called; returns what these now owe.

        The generation goes up: the message that led to the claim may be redelivered besides ours. One whose
        lease ran out meanwhile counts as unconfirmed by now; whoever claimed it knows better.
        """
        by_gen: dict[int, list[ClaimedEmail]] = defaultdict(list)
        for email in claimed:
            by_gen[email.gen].append(email)
        owed: list[OwedEmail] = []
        with store_errors():
            for gen, emails in by_gen.items():
                for state in (State.SUBMITTING, State.UNCONFIRMED):
                    fence = _fence(emails, gen=gen, states=[state.value])
                    result = self._emails.update_many(fence, _giving_back(state, gen=gen, now=now))
                    if result.matched_count == len(emails):
                        break
                owed += self._owing([email.email_id for email in emails], gen=gen + 1)
        return owed

    def settle(self, settled: Sequence[tuple[ClaimedEmail, Settlement]]) -> Written:
        """Write outcomes, those that read alike in one call.

        An email that was reported on meanwhile keeps the reported state.
        """
        moved: set[str] = set()
        owed: list[OwedEmail] = []
        with store_errors():
            for (gen, settlement), emails in _alike(settled).items():
                fence = _fence(emails, gen=gen, states=_states_settled_by(settlement))
                result = self._emails.update_many(fence, _settling(settlement, gen=gen))
                email_ids = [email.email_id for email in emails]
                is_whole = result.matched_count == len(emails)
                moved.update(
                    email_ids if is_whole else self._moved_to(settlement.state, email_ids, at=settlement.at)
                )
                if settlement.owed is not None:
                    owed += self._owing(email_ids, gen=gen + 1)
        return Written(moved=frozenset(moved), owed=owed)

    def _moved_to(self, state: State, email_ids: Sequence[str], *, at: datetime) -> list[str]:
        """Those that are where this write put them, be it by an earlier try of it."""
        here = {"state": state.value, "updated_at": at}
        found = self._emails.find({"_id": {"$in": list(email_ids)}, **here}, {"_id": 1})
        return [document["_id"] for document in found]

    def _owing(self, email_ids: Iterable[str], *, gen: int) -> list[OwedEmail]:
        found = self._emails.find({"_id": {"$in": list(email_ids)}, "owed.gen": gen}, OWED_FIELDS)
        return [owed_of(document) for document in found]


def _is_won(document: Document, token: str) -> bool:
    return document["state"] in _OPEN and document.get("claim", {}).get("token") == token


def _fence(emails: Sequence[ClaimedEmail], *, gen: int, states: Sequence[str]) -> Document:
    """Matches only emails that are still under their own claim.

    Every new claim of an email is of a higher generation, so an id can't match by another one's token.
    """
    return {
        "_id": {"$in": [email.email_id for email in emails]},
        "gen": gen,
        "claim.token": {"$in": list({email.token for email in emails})},
        "state": {"$in": list(states)},
    }


def _giving_back(state: State, *, gen: int, now: datetime) -> Document:
    """Undoes the claim, and of one that ran out also the attempt that run_out counted."""
    ran_out = state is State.UNCONFIRMED
    return {
        "$set": {
            "state": (State.RETRYING if ran_out else State.QUEUED).value,
            "gen": gen + 1,
            "updated_at": now,
            "owed": owed_document(OwedTo.LANE, gen=gen + 1, at=now),
        },
        "$inc": {"calls": -1, "attempts": -1 if ran_out else 0},
        "$unset": {"claim": "", "question": ""},
    }


def _states_settled_by(settlement: Settlement) -> list[str]:
    return [State.SUBMITTING.value] if settlement.state is State.UNCONFIRMED else _OPEN


def _alike(
    settled: Sequence[tuple[ClaimedEmail, Settlement]],
) -> dict[tuple[int, Settlement], list[ClaimedEmail]]:
    """By generation and settlement. Equal settlements are often one object, which need not be compared."""
    by_object: dict[tuple[int, int], tuple[Settlement, list[ClaimedEmail]]] = {}
    for claimed, settlement in settled:
        by_object.setdefault((claimed.gen, id(settlement)), (settlement, []))[1].append(claimed)
    alike: dict[tuple[int, Settlement], list[ClaimedEmail]] = defaultdict(list)
    for (gen, _), (settlement, emails) in by_object.items():
        alike[gen, settlement] += emails
    return alike


def _settling(settlement: Settlement, *, gen: int) -> Document:
    values: Document = {
        "state": settlement.state.value,
        "attempts": settlement.attempts,
        "waits": settlement.waits,
        "updated_at": settlement.at,
    }
    if settlement.due_at is not None:
        values["due_at"] = settlement.due_at
    if settlement.waiting_since is not None:
        values["waiting_since"] = settlement.waiting_since
    if settlement.reason is not None:
        values["reason"] = settlement.reason
    if settlement.last_error is not None:
        values["last_error"] = settlement.last_error
    if settlement.owed is not None:
        values["gen"] = gen + 1
        values["owed"] = owed_document(settlement.owed, gen=gen + 1, at=settlement.at)
    update: Document = {
        "$set": values,
        "$push": history_entry(settlement.state, at=settlement.at, detail=settlement.last_error),
    }
    if settlement.question is not None:
        values["question"] = question_document(settlement.question)
    else:
        update["$unset"] = {"question": ""}
    if not settlement.was_called:
        update["$inc"] = {"calls": -1}
    return update
