"""What a client asks as what the engine does: a prompt by the one renderer, how to draw, the form of the answer."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from burnish.config import ServeSettings
from burnish.errors import DataError
from burnish.model.base import Base
from burnish.model.fields import FieldsGrammar, FieldsWalk
from burnish.model.generator import Request
from burnish.model.json_grammar import ANY_OBJECT, JsonGrammar
from burnish.model.sample import Sampling
from burnish.records import Message, Task
from burnish.serve.asked import Asked, ChatAsked, TextAsked
from burnish.serve.faults import ApiError


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the engine has to do for one request."""

    request: Request
    choices: tuple[str, ...] = ()
    has_logprobs: bool = False

    @property
    def most_tokens(self) -> int:
        """Tokens of the prompt and the most of an answer; a label has at most a token a byte, and its end."""
        longest = max((len(label.encode()) + 1 for label in self.choices), default=self.request.max_new_tokens)
        return len(self.request.prompt) + longest


class Wishes:
    """Turns bodies into wishes, for one base and one task."""

    def __init__(self, base: Base, task: Task, settings: ServeSettings) -> None:
        self.base, self.task, self.settings = base, task, settings

    def of(self, asked: ChatAsked | TextAsked) -> Wish:
        """The wish of a body. Raises ApiError 400 that names the parameter that cannot be met."""
        return self._chat(asked) if isinstance(asked, ChatAsked) else self._text(asked)

    def _text(self, asked: TextAsked) -> Wish:
        begins = self.base.tokenizer("").input_ids
        opening = begins if begins == [self.base.tokenizer.bos_token_id] else []
        prompt = (*opening, *self.base.chat.encode(asked.text))
        most = self._most_tokens(asked, prompt, "prompt")
        return Wish(request=_request(asked, prompt, most, asked.logprobs or 0), has_logprobs=asked.logprobs is not None)

    def _chat(self, asked: ChatAsked) -> Wish:
        if asked.form != "text" and asked.stops:
            raise ApiError(400, "stop cannot be combined with a response_format.", param="stop")
        if asked.form == "task" and asked.temperature:
            raise ApiError(400, "Answers in the form task are never drawn; leave it out.", param="temperature")
        try:
            prompt = tuple(self.base.chat.render_prompt(self._turns(asked)))
            most = self._most_tokens(asked, prompt, "messages")
            if asked.form == "task" and self.task.kind == "label":
                choices = self.task.labels
                return Wish(request=_request(asked, prompt, most), choices=choices, has_logprobs=bool(asked.logprobs))
            request = self._formed(asked, _request(asked, prompt, most, asked.top_logprobs or 0))
        except DataError as error:
            raise ApiError(400, f"{error.message[:1].upper()}{error.message[1:]}.", param=_named(error)) from error
        return Wish(request=request, has_logprobs=bool(asked.logprobs))

    def _turns(self, asked: ChatAsked) -> list[Message]:
        """The messages; the task's instruction stands before those without a system message, as in training."""
        turns = [
            Message(role="system" if turn.role == "developer" else turn.role, content=turn.text)
            for turn in asked.messages
        ]
        is_told = not self.task.instruction or any(turn.role == "system" for turn in turns)
        return turns if is_told else [Message(role="system", content=self.task.instruction), *turns]

    def _formed(self, asked: ChatAsked, plain: Request) -> Request:
        """The request with its grammar, if the answer has a form."""
        opening, literal = self.base.chat.answer_opening
        if asked.form == "task" and self.task.kind == "fields":
            grammar = self._fields
            most = min(plain.max_new_tokens, grammar.most_tokens) if asked_tokens(asked) else grammar.most_tokens
            prompt = (*plain.prompt, *opening)
            return replace(plain, prompt=prompt, max_new_tokens=most, grammar=lambda: FieldsWalk(grammar))
        if asked.form == "task":
            return replace(plain, max_new_tokens=min(plain.max_new_tokens, self.task.max_new_tokens))
        if asked.form == "text" or asked.response_format is None:
            return plain
        wanted = asked.response_format.json_schema
        start = self._json.start(wanted.json_schema if wanted else ANY_OBJECT)
        prompt = (*plain.prompt, *opening, *self.base.chat.encode(literal))
        return replace(plain, prompt=prompt, grammar=start)

    def _most_tokens(self, asked: Asked, prompt: Sequence[int], param: str) -> int:
        room = self.base.max_tokens - len(prompt)
        if not prompt or room < 1:
            raise ApiError(
                400,
                f"The prompt has {len(prompt)} tokens; this model has places for {self.base.max_tokens}, the answer "
                "included.",
                param=param,
                code="context_length_exceeded",
            )
        wanted, most = asked_tokens(asked), self.settings.max_new_tokens
        if wanted is not None and wanted > most:
            name = "max_tokens" if asked.max_tokens is not None else "max_completion_tokens"
            raise ApiError(400, f"{name} is {wanted}; {most} is the most here.", param=name, code="invalid_value")
        return min(most if wanted is None else wanted, room)

    @cached_property
    def _fields(self) -> FieldsGrammar:
        keys = list(self.task.fields)
        most = self.task.max_new_tokens
        return FieldsGrammar(self.base, keys, before=self.base.chat.answer_opening[1], max_new_tokens=most)

    @cached_property
    def _json(self) -> JsonGrammar:
        return JsonGrammar(self.base)


def asked_tokens(asked: Asked) -> int | None:
    """The longest answer that the client wants, under either of its names."""
    newer = asked.max_completion_tokens if isinstance(asked, ChatAsked) else None
    return asked.max_tokens if asked.max_tokens is not None else newer


def _request(asked: Asked, prompt: tuple[int, ...], most: int, top: int = 0) -> Request:
    sampling = Sampling(
        temperature=asked.temperature or 0.0,
        top_p=1.0 if asked.top_p is None else asked.top_p,
        seed=secrets.randbits(63) if asked.seed is None else asked.seed,
    )
    return Request(prompt=prompt, max_new_tokens=most, sampling=sampling, stop=asked.stops, top_logprobs=top)


def _named(error: DataError) -> str:
    return "response_format" if "schema" in error.message else "messages"
