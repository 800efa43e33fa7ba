"""How a conversation of given roles becomes tokens: control tokens and answers apart, the rest is text to spell."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from burnish.errors import ModelError
from burnish.model.spelling import ControlTokens
from burnish.model.template import Roles, Skeleton, Template


class Step(NamedTuple):
    """A piece of a plan: either one control token, or text joined from template parts (str) and contents (int)."""

    token: int | None
    parts: tuple[str | int, ...]
    learned: bool
    strip: str


def plan_of(template: Template, control: ControlTokens, roles: Roles, *, add_prompt: bool) -> tuple[Step, ...]:
    """The steps that render a conversation of these roles. Raises DataError when the template refuses their order.

    Cuts the text at control tokens and where an answer begins; what is between is tokenised in one piece.
    """
    skeleton = template.skeleton(roles, add_prompt=add_prompt)
    steps: list[Step] = []
    parts: list[str | int] = []
    is_learned = False

    def flush() -> None:
        if parts:
            steps.append(Step(None, tuple(parts), is_learned, ""))
            parts.clear()

    for index, text in enumerate(skeleton.texts):
        starts = _answer_start(template, roles, skeleton, index)
        for piece, is_control in _pieces(control, text, starts):
            if piece is None:
                flush()
                is_learned = True
            elif is_control:
                flush()
                steps.append(Step(control.by_text[piece][0], (piece,), is_learned, ""))
                answered = index > 0 and roles[index - 1] == "assistant"
                is_learned = is_learned and not answered
            else:
                parts.append(piece)
        if index < len(roles):
            parts.append(index)
    flush()
    return tuple(_with_strips(control, steps))


def _answer_start(template: Template, roles: Roles, skeleton: Skeleton, index: int) -> int | None:
    """Where in text `index` the prompt of answer `index` ends; None where no answer follows."""
    if index >= len(roles) or roles[index] != "assistant":
        return None
    if index == 0:
        return len(skeleton.texts[0])
    prompt = template.skeleton(roles[:index], add_prompt=True).texts
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


def _pieces(control: ControlTokens, text: str, start: int | None) -> list[tuple[str | None, bool]]:
    """Template text cut into control tokens (True) and plain text (False); None marks the start of an answer."""
    if start is None:
        return [*control.pieces(text)]
    return [*control.pieces(text[:start]), (None, False), *control.pieces(text[start:])]


def _with_strips(control: ControlTokens, steps: Sequence[Step]) -> list[Step]:
    """Some control tokens swallow the white space beside them; the text beside must lose it too."""

    def neighbour(index: int) -> Any:
        part = steps[index].parts[0] if 0 <= index < len(steps) and steps[index].token is not None else None
        return control.by_text[part][1] if isinstance(part, str) else None

    done = []
    for index, step in enumerate(steps):
        before, after = neighbour(index - 1), neighbour(index + 1)
        strip = ("l" if before and before.rstrip else "") + ("r" if after and after.lstrip else "")
        done.append(step._replace(strip=strip) if step.token is None else step)
    return done


def trimmed(text: str, sides: str) -> str:
    """The text without the white space on its left ("l"), its right ("r"), or both."""
    text = text.lstrip() if "l" in sides else text
    return text.rstrip() if "r" in sides else text
