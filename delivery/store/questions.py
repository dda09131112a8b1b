"""Emails with an open question: when to ask the provider, and when the lane's policy decides.

The question is a part of the email's document, ``question``, and goes with the first word that settles it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from pymongo import ASCENDING, UpdateOne
from pymongo.database import Database

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
    ) -> int:
        """Open the question for what was claimed and never settled; returns how many there were.

        The worker died or was cut off during the call: nobody knows what the provider got. deadlines: by
        lane, where the email has none of its own.
        """
        expired = {"state": State.SUBMITTING.value, "claim.until": {"$lt": before}}
        with store_errors():
            found = list(
                self._emails.find(expired, {"claim": 1, "lane": 1, "unknown_deadline_s": 1}).limit(limit)
            )
            alike: dict[tuple[str, datetime, datetime, timedelta], list[str]] = defaultdict(list)
            for document in found:
                own = document.get("unknown_deadline_s")
                deadline = timedelta(seconds=own) if own else deadlines[Lane(document["lane"])]
                claim = document["claim"]
                alike[claim["token"], claim["at"], claim["until"], deadline].append(document["_id"])
            ran_out = 0
            for (token, called_at, until, deadline), email_ids in alike.items():
                question = outcome_question(
                    called_at=called_at, ended_at=until, deadline=deadline, policy=policy, now=now
                )
                result = self._emails.update_many(
                    {"_id": {"$in": email_ids}, "claim.token": token, **expired},
                    {
                        "$set": {
                            "state": State.UNCONFIRMED.value,
                            "updated_at": now,
                            "last_error": "lease ran out",
                            "question": question_document(question),
                        },
                        "$inc": {"attempts": 1},
                        "$push": history_entry(State.UNCONFIRMED, at=now, detail="lease ran out"),
                    },
                )
                ran_out += result.modified_count
        return ran_out

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
            query = {"_id": {"$in": email_ids}, "state": state.value, "updated_at": at}
            moved += self._emails.find(query, OWED_FIELDS)
        return moved

    def _questionables(self, query: Document, *, first: str, limit: int) -> list[Questionable]:
        """In the order of the query's index. Without a hint: SecantusDB scans the whole of a hinted one."""
        with store_errors():
            found = self._emails.find(query, _FIELDS).sort(first, ASCENDING).limit(limit)
            return [_questionable(document) for document in found]


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
