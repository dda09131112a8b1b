"""Emails with an open question: when to ask the provider, and when the lane's policy decides.

The question is a part of the email's document, ``question``, and goes with the first word that settles it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pymongo import ASCENDING, UpdateOne
from pymongo.database import Database

from delivery.domain.happenings import Happening
from delivery.domain.lanes import Lane, OnUnknown
from delivery.domain.owed import Written
from delivery.domain.questions import About, CheckPolicy, Question, outcome_question
from delivery.domain.states import State
from delivery.domain.unknowns import Questionable, Verdict
from delivery.store.client import Document, store_errors
from delivery.store.email_documents import (
    OWED_FIELDS,
    history_entry,
    owed_document,
    owed_of,
    question_document,
)
from delivery.store.indexes import SET

_FIELDS = dict.fromkeys(
    ["tenant_id", "lane", "state", "gen", "attempts", "expires_at", "on_unknown", "question"], 1
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _RanOut:
    """What emails have in common whose lease ran out, so that they are one write."""

    token: str
    called_at: datetime
    until: datetime
    lane: Lane
    deadline: timedelta


class Questions:
    """Every method raises StoreUnavailable when the store is away, and may be repeated then."""

    def __init__(self, db: Database[Document]) -> None:
        self._emails = db.emails

    def run_out(
        self,
        *,
        before: datetime,
        now: datetime,
        deadlines: Mapping[Lane, timedelta],
        policy: CheckPolicy,
        limit: int,
    ) -> list[Happening]:
        """Open the question for what was claimed and never settled; returns what thus became unconfirmed.

        The worker died or was cut off during the call: nobody knows what the provider got. deadlines: by
        lane, where the email has none of its own.
        """
        query = {"state": State.SUBMITTING.value, "claim.until": {"$lt": before}}
        fields = dict.fromkeys(["claim", "lane", "tenant_id", "unknown_deadline_s"], 1)
        alike: dict[_RanOut, list[Document]] = defaultdict(list)
        happened: list[Happening] = []
        with store_errors():
            for document in self._emails.find(query, fields).limit(limit):
                alike[_ran_out(document, deadlines=deadlines)].append(document)
            for ran_out, documents in alike.items():
                question = outcome_question(
                    called_at=ran_out.called_at,
                    ended_at=ran_out.until,
                    deadline=ran_out.deadline,
                    policy=policy.of_lane(ran_out.lane),
                    now=now,
                )
                email_ids = [document["_id"] for document in documents]
                fence = {"_id": {"$in": email_ids}, "claim.token": ran_out.token, **query}
                result = self._emails.update_many(fence, _running_out(question, now=now))
                is_whole = result.matched_count == len(email_ids)
                moved = email_ids if is_whole else self._moved_to(State.UNCONFIRMED, email_ids, at=now)
                happened += [_unconfirmed(d, at=now) for d in documents if d["_id"] in set(moved)]
        return happened

    def due(self, about: About, lane: Lane, *, now: datetime, limit: int) -> list[Questionable]:
        """Emails of a lane to ask about now, the longest due first."""
        query = {
            "question.about": about.value,
            "lane": lane.value,
            "question.check_at": {**SET, "$lte": now},
        }
        return self._questionables(query, first="question.check_at", limit=limit)

    def undecided(self, lane: Lane, *, now: datetime, limit: int) -> list[Questionable]:
        """Emails of a lane whose deadline has come without anybody's word, the oldest deadline first."""
        query = {"lane": lane.value, "question.decide_at": {**SET, "$lte": now}}
        return self._questionables(query, first="question.decide_at", limit=limit)

    def conclude(self, verdicts: Sequence[tuple[Questionable, Verdict]]) -> Written:
        """Write verdicts, each only if its email still is where it was."""
        if not verdicts:
            return Written()
        with store_errors():
            self._emails.bulk_write(
                [UpdateOne(_still(email), _concluding(email, verdict)) for email, verdict in verdicts],
                ordered=False,
            )
            moved = self._moved_by(verdicts)
        return Written(
            moved=frozenset(document["_id"] for document in moved),
            owed=[owed_of(document) for document in moved if "owed" in document],
        )

    def _moved_by(self, verdicts: Sequence[tuple[Questionable, Verdict]]) -> list[Document]:
        """The emails that these verdicts moved, not others that came into the same state meanwhile."""
        alike: dict[tuple[State, datetime], list[str]] = defaultdict(list)
        for email, verdict in verdicts:
            if verdict.state is not None:
                alike[verdict.state, verdict.at].append(email.email_id)
        moved: list[Document] = []
        for (state, at), email_ids in alike.items():
            moved += self._emails.find(_moved(state, email_ids, at=at), OWED_FIELDS)
        return moved

    def _moved_to(self, state: State, email_ids: Sequence[str], *, at: datetime) -> list[str]:
        found = self._emails.find(_moved(state, email_ids, at=at), {"_id": 1})
        return [document["_id"] for document in found]

    def _questionables(self, query: Document, *, first: str, limit: int) -> list[Questionable]:
        """In the order of the query's index. Without a hint: SecantusDB scans the whole of a hinted one."""
        with store_errors():
            found = self._emails.find(query, _FIELDS).sort(first, ASCENDING).limit(limit)
            return [_questionable(document) for document in found]


def _moved(state: State, email_ids: Sequence[str], *, at: datetime) -> Document:
    return {"_id": {"$in": list(email_ids)}, "state": state.value, "updated_at": at}


def _ran_out(document: Document, *, deadlines: Mapping[Lane, timedelta]) -> _RanOut:
    claim, lane, own = document["claim"], Lane(document["lane"]), document.get("unknown_deadline_s")
    return _RanOut(
        token=claim["token"],
        called_at=claim["at"],
        until=claim["until"],
        lane=lane,
        deadline=timedelta(seconds=own) if own else deadlines[lane],
    )


def _running_out(question: Question, *, now: datetime) -> Document:
    return {
        "$set": {
            "state": State.UNCONFIRMED.value,
            "updated_at": now,
            "last_error": "lease ran out",
            "question": question_document(question),
        },
        "$inc": {"attempts": 1},
        "$push": history_entry(State.UNCONFIRMED, at=now, detail="lease ran out"),
    }


def _unconfirmed(document: Document, *, at: datetime) -> Happening:
    return Happening(
        tenant_id=document["tenant_id"],
        email_id=document["_id"],
        lane=Lane(document["lane"]),
        state=State.UNCONFIRMED,
        at=at,
    )


def _still(email: Questionable) -> Document:
    return {
        "_id": email.email_id,
        "state": email.state.value,
        "gen": email.gen,
        "question.checks": email.question.checks,
    }


def _concluding(email: Questionable, verdict: Verdict) -> Document:
    if verdict.state is None:
        return _asked(verdict)
    values: Document = {"state": verdict.state.value, "updated_at": verdict.at}
    if verdict.reason is not None:
        values["reason"] = verdict.reason
    if verdict.due_at is not None:
        values["due_at"] = verdict.due_at
    if verdict.may_be_sent:
        values["may_be_sent"] = True
    if verdict.owed is not None:
        values["gen"] = email.gen + 1
        values["owed"] = owed_document(verdict.owed, gen=email.gen + 1, at=verdict.at)
    update: Document = {
        "$set": values,
        "$push": history_entry(verdict.state, at=verdict.at, detail=verdict.reason or verdict.note),
    }
    if verdict.question is not None:
        values["question"] = question_document(verdict.question)
    else:
        update["$unset"] = {"question": ""}
    return update


def _asked(verdict: Verdict) -> Document:
    values: Document = {"question.checks": verdict.checks}
    gone: Document = {}
    if verdict.check_at is not None:
        values["question.check_at"] = verdict.check_at
    else:
        gone["question.check_at"] = ""
    if verdict.unreported:
        values["unreported"] = True
    return {"$set": values, "$unset": gone} if gone else {"$set": values}


def _questionable(document: Document) -> Questionable:
    question, on_unknown = document["question"], document.get("on_unknown")
    return Questionable(
        email_id=document["_id"],
        tenant_id=document["tenant_id"],
        lane=Lane(document["lane"]),
        state=State(document["state"]),
        gen=document["gen"],
        attempts=document["attempts"],
        expires_at=document.get("expires_at"),
        on_unknown=OnUnknown(on_unknown) if on_unknown else None,
        question=Question(
            about=About(question["about"]),
            asked_from=question["asked_from"],
            ended_at=question["ended_at"],
            checks=question["checks"],
            check_at=question.get("check_at"),
            decide_at=question.get("decide_at"),
        ),
    )
