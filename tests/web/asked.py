"""Questions of each kind for the review page, and projects that have them."""

import json
from pathlib import Path

from sqlalchemy import update

from burnish.config import Settings
from burnish.data.dataset import load_examples
from burnish.data.intake import add_files
from burnish.loop.project import Project, create_project, settings_with
from burnish.records import Message
from burnish.review.queue import named
from burnish.store.reviews import ReviewItem, add_items
from burnish.store.roles import append_roles
from burnish.store.tables import review_lease
from burnish.talk import Silence

PROMPT = "On 3 May Mrs Okafor was charged 42 euros for claim LB-110."
DRAFT = "Mrs Okafor was charged 45 euros on 3 May. Ask Dr Brown."
OTHER = "It was 42 euros."
BETTER = "Mrs Okafor was charged 42 euros on 3 May."


def label_question(number: int, mark: str = "", **changes) -> ReviewItem:
    """A question for a label, the lowest number first; blind unless the changes say otherwise."""
    fields = {
        "queue": "blind",
        "purpose": "calibration",
        "given": "refer",
        "reason": f"Asked as a test {mark}.",
        **changes,
    }
    prompt = (Message(role="user", content=f"question number {number} {mark}"),)
    return named(ReviewItem(name="", example=f"row-{number}", role="train", messages=prompt, value=-number, **fields))


def text_question(number: int = 0, mark: str = "", **changes) -> ReviewItem:
    """A correction of a written answer, of which the amount and a name are not in the prompt."""
    fields = {"queue": "correction", "purpose": "gold", "draft": f"{DRAFT}{mark}", "given": DRAFT, **changes}
    turns = (Message(role="system", content=f"Be short. {mark}"), Message(role="user", content=f"{PROMPT}{mark}"))
    return named(
        ReviewItem(
            name="",
            example=f"row-{number}",
            role="train",
            messages=turns,
            reason=f"Why {mark}",
            value=-number,
            **fields,
        )
    )


def run_out(project: Project) -> None:
    """Lets the time pass in which questions are kept for those who have them on the screen."""
    with project.store.db.write() as connection:
        assert connection.execute(update(review_lease).values(until_s=0.0)).rowcount


def pair_question(number: int = 0, mark: str = "") -> ReviewItem:
    """Two answers to choose from."""
    given = {"purpose": "preference", "draft_by": "model-one", "other": f"{OTHER}{mark}", "other_by": "model-two"}
    return text_question(number, mark, queue="preference", **given)


def text_project(folder: Path, items: list[ReviewItem], kind: str = "text", answer: str = OTHER) -> Project:
    """A project of five rows whose answers are written, with these questions."""
    project = create_project(folder, settings_with(Settings(), {"project": "letters", "task.kind": kind}))
    rows = [json.dumps({"text": f"letter {at} {chr(97 + at) * 9}", "label": answer}) for at in range(5)]
    (folder / "rows.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    add_files(project.store, project.settings, [folder / "rows.jsonl"], Silence())
    append_roles(project.store, {row.id: "train" for row in load_examples(project.store)}, reason="test")
    add_items(project.store, items)
    return project
