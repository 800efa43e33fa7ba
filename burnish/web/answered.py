"""What a reviewer's form says: the decision, the text that goes with it, the time it took and how much was changed."""

import math
from collections.abc import Mapping
from typing import cast

from burnish.errors import UsageError
from burnish.records import Task
from burnish.review.cost import LONGEST_S
from burnish.review.edits import edit_distance
from burnish.store.claims import WITH_TEXT, Wish
from burnish.store.reviews import Kind, ReviewItem
from burnish.web.fields import PREFIX, answer_from
from burnish.web.forms import LONGEST_LINE


def wish_of(form: Mapping[str, str], item: ReviewItem, task: Task, now_s: float) -> Wish:
    """The decision that a form was sent with. An edit that changes nothing is the draft accepted.

    Raises UsageError where the draft is called right and was changed: one of the two was not meant.
    """
    kind, _, label = form.get("act", "").partition(":")
    draft = "" if item.queue == "blind" else item.draft
    written = _written(form, task, draft)
    if kind == "accept" and written not in (None, draft.strip(), draft):
        raise UsageError(
            "the answer was changed, and then called right as it was; nothing was saved",
            hint="save the change, or take it out first",
        )
    text = (label or written or "") if kind in WITH_TEXT else ""
    if kind == "edit" and text in (draft, draft.strip()):
        kind, text = "accept", ""
    return Wish(
        kind=cast(Kind, kind),
        text=text,
        note=" ".join(form.get("note", "").split())[:LONGEST_LINE],
        seconds=_seconds(form, now_s),
        edit_distance=edit_distance(draft, text) if text and draft and not label else 0,
    )


def _written(form: Mapping[str, str], task: Task, draft: str) -> str | None:
    """The text of the form, or the answer that its fields come to; None: nothing could be written on it."""
    if any(name.startswith(PREFIX) for name in form):
        return answer_from(form, task, draft)
    return form["text"].replace("\r\n", "\n").strip() if "text" in form else None


def _seconds(form: Mapping[str, str], now_s: float) -> float:
    """Time before the page as the browser measured it, else since the server made it; no more than counts."""
    measured, shown_s = _number(form.get("seconds", "")), _number(form.get("shown", ""))
    seconds = measured if measured is not None else now_s - shown_s if shown_s is not None else 0.0
    return min(max(seconds, 0.0), LONGEST_S)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
