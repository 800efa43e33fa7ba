"""The one renderer: messages to tokens for training, evaluation and serving, by the base's own chat template.

Contents are tokenised as plain text, so that a control token written into a message is letters and never a turn. The
prompt of a conversation without its answer is, token for token, the beginning of the conversation with it.
"""

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from tokenizers import AddedToken, Tokenizer

from burnish.errors import ModelError
from burnish.fingerprint import fingerprint
from burnish.model.template import Roles, Skeleton, Template, probe
from burnish.records import Message

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
LEARNED = ("⟦", "⟧")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A conversation as tokens, and which of them are learned: every answer with the token that ends it."""

    tokens: tuple[int, ...]
    learned: tuple[bool, ...]
    pieces: tuple[tuple[str, bool], ...]
    """The text in pieces, each learned or not; control tokens as they are written."""
    forged: int = 0
    """Control tokens found inside contents and turned into plain text."""
    asked: tuple[bool, ...] = ()
    """Which tokens stand wholly inside what a user wrote; empty: not known."""

    @property
    def text(self) -> str:
        """The whole text, control tokens shown."""
        return "".join(text for text, _ in self.pieces)


def show(rendered: Rendered) -> str:
    """The text with learned spans between ⟦ and ⟧, readable without colour."""
    return "".join(text.join(LEARNED) if learned and text else text for text, learned in rendered.pieces)


class _Step(NamedTuple):
    """A piece of a plan: either one control token, or text joined from template parts (str) and contents (int)."""

    token: int | None
    parts: tuple[str | int, ...]
    learned: bool
    strip: str


class _Spelled(NamedTuple):
    """A text as tokens, each with where it begins and ends in the text; (0, 0): nowhere."""

    ids: list[int]
    places: list[tuple[int, int]]


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
        added: dict[int, Any] = tokenizer.added_tokens_decoder
        self._control = {
            token.content: (index, token)
            for index, token in added.items()
            if token.content.strip() and (token.special or token.content in source)
        }
        longest_first = sorted(self._control, key=len, reverse=True)
        self._control_pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self._control_ids = frozenset(index for index, _ in self._control.values())
        self._mark = f"\ue000{secrets.token_hex(16)}\ue001"
        self._plain = _plain_tokenizer(tokenizer, set(self._control), self._mark)
        self._plans: dict[tuple[Roles, bool], tuple[_Step, ...]] = {}
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
        return list(self._fill(messages, add_prompt=True).tokens)

    def prompt_text(self, messages: Sequence[Message]) -> str:
        """What `render_prompt` says, as text with control tokens shown."""
        return self._fill(messages, add_prompt=True).text

    def answer_tokens(self, text: str) -> list[int]:
        """What the model has to produce after a prompt to give this answer, the end-of-turn token included."""
        turns = (Message(role="user", content="?"), Message(role="assistant", content=text))
        rendered = self.render(turns)
        return [token for token, learned in zip(rendered.tokens, rendered.learned, strict=True) if learned]

    def answer_text(self, tokens: Sequence[int]) -> str:
        """The answer that produced tokens stand for: without end tokens and what the template puts around contents."""
        kept = [token for token in tokens if token not in self._control_ids]
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
            tokens += [step.token] if step.token is not None else self.encode(_trimmed(text, step.strip))
        return tokens, ""

    def encode(self, text: str) -> list[int]:
        """Plain text to tokens, in which no control token can occur."""
        return self._spell(text).ids

    def _spell(self, text: str) -> _Spelled:
        if not text:
            return _Spelled([], [])
        marked = self._plain.encode(self._mark + text, add_special_tokens=False)
        if self._control_ids.isdisjoint(marked.ids[1:]):
            start = len(self._mark)
            return _Spelled(marked.ids[1:], [(low - start, high - start) for low, high in marked.offsets[1:]])
        letters = (self._plain.encode(self._mark + letter, add_special_tokens=False).ids[1:] for letter in text)
        ids = [token for ids in letters for token in ids if token not in self._control_ids]
        return _Spelled(ids, [(0, 0)] * len(ids))

    def _decode(self, tokens: Sequence[int]) -> str:
        text: str = self.tokenizer.decode(list(tokens), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text

    def _fill(self, messages: Sequence[Message], *, add_prompt: bool) -> Rendered:
        roles = tuple(message.role for message in messages)
        plan = self._plan(roles, add_prompt=add_prompt)
        trims = self._template.skeleton(roles, add_prompt=add_prompt).trims
        contents = [_trimmed(message.content, trim) for message, trim in zip(messages, trims, strict=True)]
        tokens: list[int] = []
        learned: list[bool] = []
        asked: list[bool] = []
        pieces: list[tuple[str, bool]] = []
        for step in plan:
            texts = [part if isinstance(part, str) else contents[part] for part in step.parts]
            text = "".join(texts)
            plain = _trimmed(text, step.strip)
            ids, places = self._spell(plain) if step.token is None else _Spelled([step.token], [(0, 0)])
            tokens += ids
            learned += [step.learned] * len(ids)
            is_user = [isinstance(part, int) and roles[part] == "user" for part in step.parts]
            asked += _inside(places, texts, is_user, shift=text.find(plain))
            if pieces and pieces[-1][1] == step.learned:
                pieces[-1] = (pieces[-1][0] + text, step.learned)
            else:
                pieces.append((text, step.learned))
        forged = sum(len(self._control_pattern.findall(content)) for content in contents)
        return Rendered(
            tokens=tuple(tokens), learned=tuple(learned), pieces=tuple(pieces), forged=forged, asked=tuple(asked)
        )

    def _plan(self, roles: Roles, *, add_prompt: bool) -> tuple[_Step, ...]:
        key = (roles, add_prompt)
        if key not in self._plans:
            self._plans[key] = self._make_plan(roles, self._template.skeleton(roles, add_prompt=add_prompt))
        return self._plans[key]

    def _make_plan(self, roles: Roles, skeleton: Skeleton) -> tuple[_Step, ...]:
        """Cuts the text at control tokens and where an answer begins; what is between is tokenised in one piece."""
        steps: list[_Step] = []
        parts: list[str | int] = []
        is_learned = False

        def flush() -> None:
            if parts:
                steps.append(_Step(None, tuple(parts), is_learned, ""))
                parts.clear()

        for index, text in enumerate(skeleton.texts):
            starts = self._answer_start(roles, skeleton, index)
            for piece, is_control in self._pieces(text, starts):
                if piece is None:
                    flush()
                    is_learned = True
                elif is_control:
                    flush()
                    steps.append(_Step(self._control[piece][0], (piece,), is_learned, ""))
                    answered = index > 0 and roles[index - 1] == "assistant"
                    is_learned = is_learned and not answered
                else:
                    parts.append(piece)
            if index < len(roles):
                parts.append(index)
        flush()
        return tuple(self._with_strips(steps))

    def _answer_start(self, roles: Roles, skeleton: Skeleton, index: int) -> int | None:
        """Where in text `index` the prompt of answer `index` ends; None where no answer follows."""
        if index >= len(roles) or roles[index] != "assistant":
            return None
        if index == 0:
            return len(skeleton.texts[0])
        prompt = self._template.skeleton(roles[:index], add_prompt=True).texts
        text = skeleton.texts[index]
        if skeleton.texts[:index] == prompt[:index] and text.startswith(prompt[index]):
            return len(prompt[index])
        if index == len(roles) - 1:
            raise ModelError(
                f"with this chat template a prompt is not the beginning of its answer: it ends in {prompt[index]!r}, "
                f"but the answered conversation goes on with {text!r}",
                hint="Correct add_generation_prompt in the model folder's chat_template.jinja.",
            )
        return len(text)

    def _pieces(self, text: str, start: int | None) -> list[tuple[str | None, bool]]:
        """Template text cut into control tokens (True) and plain text (False); None marks the start of an answer."""
        cuts = [text] if start is None else [text[:start], None, text[start:]]
        pieces: list[tuple[str | None, bool]] = []
        for cut in cuts:
            if cut is None:
                pieces.append((None, False))
                continue
            at = 0
            for match in self._control_pattern.finditer(cut):
                pieces += [(cut[at : match.start()], False)] if match.start() > at else []
                pieces.append((match.group(), True))
                at = match.end()
            pieces += [(cut[at:], False)] if at < len(cut) else []
        return pieces

    def _with_strips(self, steps: Sequence[_Step]) -> list[_Step]:
        """Some control tokens swallow the white space beside them; the text beside must lose it too."""

        def neighbour(index: int) -> Any:
            part = steps[index].parts[0] if 0 <= index < len(steps) and steps[index].token is not None else None
            return self._control[part][1] if isinstance(part, str) else None

        done = []
        for index, step in enumerate(steps):
            before, after = neighbour(index - 1), neighbour(index + 1)
            strip = ("l" if before and before.rstrip else "") + ("r" if after and after.lstrip else "")
            done.append(step._replace(strip=strip) if step.token is None else step)
        return done

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


def _trimmed(text: str, sides: str) -> str:
    text = text.lstrip() if "l" in sides else text
    return text.rstrip() if "r" in sides else text


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


def _plain_tokenizer(tokenizer: Any, control: set[str], mark: str) -> Tokenizer:
    """The same tokenizer without its control tokens, and with a secret mark that opens every text.

    The mark stands in for the control token before a text: some tokenizers treat the very first text otherwise.
    """
    spelled = json.loads(tokenizer.backend_tokenizer.to_str())
    spelled["added_tokens"] = [token for token in spelled["added_tokens"] if token["content"] not in control]
    spelled["truncation"] = spelled["padding"] = spelled["post_processor"] = None
    plain = Tokenizer.from_str(json.dumps(spelled))
    plain.add_special_tokens([AddedToken(mark, normalized=False, special=True)])
    return plain
