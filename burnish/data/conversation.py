"""The conversation a model sees: instruction, solved examples, then the example's own turns.

Training and evaluation build it here, so that they cannot differ.
"""

from collections.abc import Sequence
from dataclasses import replace

from burnish.data.answers import spelled_fields
from burnish.records import Example, Message, Task


def conversation(task: Task, example: Example, shots: Sequence[Example] = ()) -> tuple[Message, ...]:
    """The whole conversation, answer last: a system message if there is one, the shots, then the example's turns.

    The task's instruction becomes the system message of an example that has none; nothing else is ever added.
    The system messages of shots are left out. Answers of a fields task are spelled as decoding writes them, or training
    would teach `"sum":12` and decoding ask for `"sum":"`.
    """
    own = [turn for turn in example.messages if turn.role == "system"]
    instruction = [Message(role="system", content=task.instruction)] if task.instruction and not own else []
    solved = [turn for shot in shots for turn in _spelled(task, shot) if turn.role != "system"]
    asked = [turn for turn in _spelled(task, example) if turn.role != "system"]
    return (*instruction, *own, *solved, *asked)


def _spelled(task: Task, example: Example) -> tuple[Message, ...]:
    *turns, answer = example.messages
    if task.kind != "fields" or answer.role != "assistant":
        return example.messages
    return (*turns, replace(answer, content=spelled_fields(answer.content, list(task.fields))))
