"""What users say of answers: POST /v1/feedback. On disk before it is acknowledged; the same again changes nothing."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import FastAPI
from pydantic import Field, model_validator
from starlette.requests import Request

from burnish.errors import BurnishError, BusyError
from burnish.serve import described
from burnish.serve.asked import Body
from burnish.serve.exchange import Service
from burnish.serve.faults import ApiError, log_of
from burnish.serve.keys import asker
from burnish.serve.projects import Served
from burnish.serve.recorder import Recorder
from burnish.store.traffic import Accepted, Kind, Remark, append_feedback

LONGEST_CORRECTION, LONGEST_TEXT = 65_536, 8_192
RETRY_S = 1


class FeedbackAsked(Body):
    """The body of /v1/feedback: the id of an answer, and at least one thing about it."""

    response_id: Annotated[str, Field(min_length=1, max_length=128)]
    """The `id` of the answer: chatcmpl-..., cmpl-..., or of an imported log its own."""
    thumb: Literal["up", "down"] | None = None
    correction: Annotated[str, Field(min_length=1, max_length=LONGEST_CORRECTION)] | None = None
    """The answer that would have been right. People confirm it before it teaches anything."""
    outcome: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\w .:/-]+$")] | None = None
    """What came of it, as a short name: resolved, escalated."""
    text: Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "FeedbackAsked":
        if not (self.thumb or self.correction or self.outcome or self.text):
            raise ValueError("give at least one of thumb, correction, outcome, text")
        return self

    def remarks(self, recorder: Recorder) -> list[Remark]:
        """What it says, each as it may be kept."""
        kinds: tuple[Kind, ...] = ("correction", "outcome", "text")
        written = [(kind, getattr(self, kind)) for kind in kinds]
        thumb = [Remark(self.thumb)] if self.thumb else []
        return [*thumb, *(Remark(kind, recorder.redacted(value)) for kind, value in written if value)]


def add_to(app: FastAPI, service: Service) -> None:
    """Registers the route."""

    @app.post("/v1/feedback", response_model=None, responses=described.FEEDBACK)
    async def feedback(asked: FeedbackAsked, request: Request) -> dict[str, Any]:
        seen = [one for one in service.projects.seen_by(asker(request.scope)) if one.recorder.settings.keep]
        if not seen:
            raise ApiError(404, "No feedback is taken here: this server keeps no answers.", code="feedback_off")
        taken = await asyncio.to_thread(_take_first, seen, asked)
        if taken is None:
            message = "No answer of this id is kept here: it is unknown, or its time is over."
            raise ApiError(404, message, param="response_id", code="response_not_found")
        told = {"id": asked.response_id, "object": "feedback", "model": taken.model}
        return {**told, "num_new": taken.num_new}


def _take_first(seen: Sequence[Served], asked: FeedbackAsked) -> Accepted | None:
    """By the project that has the answer, of those that the key opens."""
    return next((taken for one in seen if (taken := _take(one, asked))), None)


def _take(served: Served, asked: FeedbackAsked) -> Accepted | None:
    """Writes it down; an answer of a moment ago is written down first."""
    try:
        recorder = served.recorder
        remarks = asked.remarks(recorder)
        taken = append_feedback(recorder.store, asked.response_id, remarks)
        if taken is None:
            if not recorder.flush():
                raise BusyError("answers wait too long to be written", hint="see what holds the database")
            taken = append_feedback(recorder.store, asked.response_id, remarks)
    except BurnishError as error:
        log_of(served.name).error("feedback could not be kept: %s", ascii(error.message))
        told = "The feedback could not be kept. Send it again."
        raise ApiError(503, told, code="overloaded", retry_s=RETRY_S) from error
    return taken
