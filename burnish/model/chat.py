"""The one renderer: messages to tokens for training, evaluation and serving, by the base's own chat template.

Contents are tokenised as plain text, so that a control token written into a message is letters and never a turn. The
prompt of a conversation without its answer is, token for token, the beginning of the conversation with it.
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

from burnish.errors import ModelError
from burnish.fingerprint import fingerprint
from burnish.model.chat_plan import Step, plan_of, trimmed
from burnish.model.rendered import Rendered
from burnish.model.spelling import ControlTokens, Spelled, Speller
from burnish.model.template import Roles, Skeleton, Template, probe
from burnish.records import Message

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


class Chat:
    """A tokenizer and a chat template, and what both together say about turns."""

    def __init__(self, tokenizer: Any, template: str | None = None, *, is_trusted: bool = False) -> None:
        """The template defaults to the tokenizer's own, or to ChatML where the tokenizer has its control tokens.

        Raises ModelError when there is no template, or one that drops messages or leaves answers without an end.
        """
        self.tokenizer = tokenizer
        source = template if template is not None else _own_template(tokenizer)
        special = {name: token for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}
        self._template: Template = (
            Template(source, special) if is_trusted or source == CHATML else probe(source, special)
        )
        self.template_hash: str = fingerprint(source)
        self._control = ControlTokens(tokenizer, source)
        self._speller = Speller(tokenizer, self._control)
        self._plans: dict[tuple[Roles, bool], tuple[Step, ...]] = {}
        pads = (tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
        self.pad_id: int = next(token for token in pads if token is not None)
        self.end_ids: tuple[int, ...] = self._find_ends()

    @property
    def source(self) -> str:
        """The chat template as it is written."""
        return self._template.source

    def skeleton(self, roles: Roles, *, add_prompt: bool) -> Skeleton:
        """What the template writes around the contents of these roles. Raises DataError when it refuses them."""
        return self._template.skeleton(roles, add_prompt=add_prompt)

    def render(self, messages: Sequence[Message]) -> Rendered:
        """The conversation as tokens. Raises DataError when the template refuses this order of roles."""
        return self._fill(messages, add_prompt=False)

    def render_prompt(self, messages: Sequence[Message]) -> list[int]:
        """Tokens up to where the assistant answers; `render` of the answered conversation starts with them."""
        return list(self.prompt(messages).tokens)

    def prompt_text(self, messages: Sequence[Message]) -> str:
        """What `render_prompt` says, as text with control tokens shown."""
        return self.prompt(messages).text

    def prompt(self, messages: Sequence[Message]) -> Rendered:
        """The conversation up to where the assistant answers, as tokens and as text."""
        return self._fill(messages, add_prompt=True)

    def answer_tokens(self, text: str) -> list[int]:
        """What the model has to produce after a prompt to give this answer, the end-of-turn token included."""
        turns = (Message(role="user", content="?"), Message(role="assistant", content=text))
        rendered = self.render(turns)
        return [token for token, learned in zip(rendered.tokens, rendered.learned, strict=True) if learned]

    def answer_text(self, tokens: Sequence[int]) -> str:
        """The answer that produced tokens stand for: without end tokens and what the template puts around contents."""
        kept = [token for token in tokens if token not in self._control.ids]
        text: str = self._decode(kept)
        before, after = self.answer_frame
        return text.removeprefix(before).removesuffix(after) if before or after else text

    @property
    def answer_frame(self) -> tuple[str, str]:
        """Text that the template writes between prompt and answer, and between answer and its end token."""
        plan = self._plan(("user", "assistant"), add_prompt=False)
        learned = [step for step in plan if step.learned and step.token is None]
        parts: list[str | int] = [part for step in learned for part in step.parts]
        at = parts.index(1)
        return "".join(map(str, parts[:at])), "".join(map(str, parts[at + 1 :]))

    @property
    def answer_opening(self) -> tuple[list[int], str]:
        """What stands between prompt and answer: whole tokens, then text that may share a token with the answer."""
        plan = self._plan(("user", "assistant"), add_prompt=False)
        tokens: list[int] = []
        for step in (step for step in plan if step.learned):
            if 1 in step.parts:
                return tokens, "".join(map(str, step.parts[: step.parts.index(1)]))
            text = "".join(map(str, step.parts))
            tokens += [step.token] if step.token is not None else self.encode(trimmed(text, step.strip))
        return tokens, ""

    def encode(self, text: str) -> list[int]:
        """Plain text to tokens, in which no control token can occur."""
        return list(self._speller.spell(text).ids)

    def _decode(self, tokens: Sequence[int]) -> str:
        text: str = self.tokenizer.decode(list(tokens), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text

    def _fill(self, messages: Sequence[Message], *, add_prompt: bool) -> Rendered:
        roles = tuple(message.role for message in messages)
        plan = self._plan(roles, add_prompt=add_prompt)
        trims = self._template.skeleton(roles, add_prompt=add_prompt).trims
        contents = [trimmed(message.content, trim) for message, trim in zip(messages, trims, strict=True)]
        tokens: list[int] = []
        learned: list[bool] = []
        asked: list[bool] = []
        pieces: list[tuple[str, bool]] = []
        for step in plan:
            texts = [part if isinstance(part, str) else contents[part] for part in step.parts]
            text = "".join(texts)
            plain = trimmed(text, step.strip)
            ids, places = self._speller.spell(plain) if step.token is None else Spelled((step.token,), ((0, 0),))
            tokens += ids
            learned += [step.learned] * len(ids)
            is_user = [isinstance(part, int) and roles[part] == "user" for part in step.parts]
            asked += _inside(places, texts, is_user, shift=text.find(plain))
            if pieces and pieces[-1][1] == step.learned:
                pieces[-1] = (pieces[-1][0] + text, step.learned)
            else:
                pieces.append((text, step.learned))
        forged = sum(len(self._control.pattern.findall(content)) for content in contents)
        return Rendered(
            tokens=tuple(tokens), learned=tuple(learned), pieces=tuple(pieces), forged=forged, asked=tuple(asked)
        )

    def _plan(self, roles: Roles, *, add_prompt: bool) -> tuple[Step, ...]:
        key = (roles, add_prompt)
        if key not in self._plans:
            self._plans[key] = plan_of(self._template, self._control, roles, add_prompt=add_prompt)
        return self._plans[key]

    def _find_ends(self) -> tuple[int, ...]:
        plan = self._plan(("user", "assistant"), add_prompt=False)
        last = next((step for step in reversed(plan) if step.learned), None)
        if last is None or last.token is None:
            raise ModelError(
                "the chat template of this base puts no control token after an answer, so that answers would not end",
                hint="Add the end-of-sequence token after assistant messages in chat_template.jinja.",
            )
        eos = self.tokenizer.eos_token_id
        return tuple(dict.fromkeys([last.token, *([eos] if eos is not None else [])]))


def _inside(
    places: Sequence[tuple[int, int]], texts: Sequence[str], wanted: Sequence[bool], *, shift: int
) -> list[bool]:
    """Which places lie wholly inside a wanted text; they count from `shift` on in the joined texts."""
    ends = list(accumulate(map(len, texts), initial=-shift))
    spans = [span for span, is_wanted in zip(pairwise(ends), wanted, strict=True) if is_wanted]
    return [any(low <= start < end <= high for low, high in spans) for start, end in places]


def _own_template(tokenizer: Any) -> str:
    own = tokenizer.chat_template
    if isinstance(own, dict):
        own = own.get("default")
    if own:
        return str(own)
    if {"<|im_start|>", "<|im_end|>"} <= set(tokenizer.get_vocab()):
        return CHATML
    raise ModelError(
        "this base has no chat template, so it cannot tell a question from an answer",
        hint="Put a chat_template.jinja into the model folder, or take the base's chat or instruct version.",
    )
