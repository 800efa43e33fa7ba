"""What is known of a version before vLLM answers with it: stored answers of its evaluation, asked again there."""

import math
from collections.abc import Callable
from typing import NamedTuple

from burnish.errors import ModelError
from burnish.model.base import Base
from burnish.model.generator import Request
from burnish.records import Message, ModelVersion
from burnish.serve.reads import UNPROVEN
from burnish.serve.vllm_writing import Writer


class Known(NamedTuple):
    """One stored answer."""

    request: Request
    answer: tuple[int, ...]
    """Its tokens where it was chosen among labels; empty where it was written, and is to be written again."""
    text: str
    logprob: float


class Recorded(NamedTuple):
    """The stored answers of a version."""

    answers: tuple[Known, ...]
    allowed: float
    """Largest relative difference of a log-probability that is rounding."""
    most_changed: int
    """Answers that may differ all the same, since two tokens can tie."""


Recall = Callable[[Base, ModelVersion], Recorded]
"""Reads what is known about a version, on any thread."""


async def probe(writer: Writer, plain: Writer, version: ModelVersion, recorded: Recorded) -> str:
    """What was compared, in words.

    Raises ModelError when the adapter changes nothing of what the base (`plain`) says, or when it does not answer as it
    was measured.
    """
    if await _said(writer) == await _said(plain):
        raise ModelError(f"the adapter {version.name} changes no answer of the base in vLLM", hint="Train it again.")
    moved = [one for one in recorded.answers if not await _came_again(writer, one, recorded.allowed)]
    if len(moved) > recorded.most_changed:
        raise ModelError(
            f"{version.name} does not answer in vLLM as it was measured: {len(moved)} of {len(recorded.answers)} "
            "answers differ from its stored evaluation",
            hint="Serve it with --engine builtin; vLLM may lack what this base or adapter needs.",
        )
    if not recorded.answers:
        return UNPROVEN
    return f"{len(recorded.answers)} stored answers came out of vLLM again within {recorded.allowed:.1%}"


async def _said(writer: Writer) -> list[float]:
    """How likely a model finds the tokens of a prompt; two different adapters never agree to the last bit."""
    tokens = tuple(writer.base.chat.render_prompt([Message(role="user", content="Hello, who are you?")]))
    return await writer.logprobs(tokens[:1], tokens[1:])


async def _came_again(writer: Writer, known: Known, allowed: float) -> bool:
    if known.answer:
        now = sum(await writer.logprobs(known.request.prompt, known.answer))
    else:
        said = await writer.write(known.request, lambda step: None)
        now = said.logprob if said.text == known.text else math.nan
    return abs(known.logprob - now) <= allowed * max(1.0, abs(known.logprob), abs(now))
