"""What the OpenAPI document says of answers: every status a client may meet, and the form of what comes with it."""

from typing import Any, Literal

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """Exactly these fields."""

    model_config = ConfigDict(extra="forbid")


class Fault(Part):
    """What is wrong."""

    message: str
    type: Literal[
        "invalid_request_error", "authentication_error", "not_found_error", "rate_limit_error", "server_error"
    ]
    param: str | None
    code: str | None


class FaultAnswer(Part):
    """Every answer that is none."""

    error: Fault


class Top(Part):
    """One of the likeliest tokens in a place."""

    token: str
    logprob: float
    bytes: list[int] | None


class Token(Top):
    """A token of an answer."""

    top_logprobs: list[Top]


class ChatLogprobs(Part):
    """Log-probabilities of a chat's answer, in nats."""

    content: list[Token]
    refusal: None


class TextLogprobs(Part):
    """Log-probabilities of a completion, in nats; a column for each fact."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class Said(Part):
    """The answer of a chat."""

    role: Literal["assistant"]
    content: str
    refusal: None


class ChatChoice(Part):
    """The one answer."""

    index: Literal[0]
    message: Said
    logprobs: ChatLogprobs | None
    finish_reason: Literal["stop", "length"]


class TextChoice(Part):
    """The one completion."""

    index: Literal[0]
    text: str
    logprobs: TextLogprobs | None
    finish_reason: Literal["stop", "length"]


class Usage(Part):
    """Tokens that went in and came out."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Head(Part):
    """What both kinds begin with."""

    id: str
    created: int
    model: str
    """The version that answers."""
    system_fingerprint: str
    usage: Usage


class ChatAnswer(Head):
    """A whole answer of a chat."""

    object: Literal["chat.completion"]
    choices: list[ChatChoice]


class TextAnswer(Head):
    """A whole completion."""

    object: Literal["text_completion"]
    choices: list[TextChoice]


class ModelEntry(Part):
    """A model, and what burnish knows of it."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    root: str
    parent: str
    adapter_hash: str
    decision: str | None
    checked: str


class ModelList(Part):
    """Every model by its name."""

    object: Literal["list"]
    data: list[ModelEntry]


class FeedbackTaken(Part):
    """What became of feedback."""

    id: str
    object: Literal["feedback"]
    model: str
    num_new: int


MEANINGS = {
    400: "The body cannot be met; param names the field.",
    401: "The key is missing or wrong.",
    404: "There is no such model, or the key does not open the address.",
    408: "The body took too long.",
    413: "The body is too large.",
    421: "The request was not meant for this server.",
    429: "Too many wait, or the key has used its quota; Retry-After says how long to wait.",
    431: "The headers are too long.",
    500: "The server failed.",
    503: "The model cannot be served now, or the server is about to end.",
    504: "There was no whole answer in time.",
}
Answers = dict[int | str, dict[str, Any]]
STREAM = {"text/event-stream": {"schema": {"type": "string"}}}
"""Pieces of the answer, as server-sent events, with `stream`."""
AT_THE_DOOR = (401, 421, 431, 500)


def _answers(model: type[BaseModel], *statuses: int, **more: Any) -> Answers:
    faults: Answers = {status: {"model": FaultAnswer, "description": MEANINGS[status]} for status in sorted(statuses)}
    return {200: {"model": model, **more}, **faults}


def _words(*statuses: int) -> Answers:
    return {status: {"content": {"text/plain": {"schema": {"type": "string"}}}} for status in statuses}


CHAT = _answers(ChatAnswer, *MEANINGS, content=STREAM)
TEXT = _answers(TextAnswer, *MEANINGS, content=STREAM)
FEEDBACK = _answers(FeedbackTaken, 400, 404, 408, 413, 503, *AT_THE_DOOR)
MODELS = _answers(ModelList, *AT_THE_DOOR)
MODEL = _answers(ModelEntry, 400, 404, *AT_THE_DOOR)
WORDS = _words(200, 503) | {431: {"model": FaultAnswer, "description": MEANINGS[431]}}
METRICS = _words(200) | {
    status: {"model": FaultAnswer, "description": MEANINGS[status]} for status in (404, *AT_THE_DOOR)
}


class Api(FastAPI):
    """Routes whose document has no status that never comes: FastAPI's own for bodies that do not fit is 400 here."""

    def openapi(self) -> dict[str, Any]:
        """The document, of all routes that there are by then."""
        document = super().openapi()
        for path in document["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)
        for name in ("HTTPValidationError", "ValidationError"):
            document["components"]["schemas"].pop(name, None)
        return document
