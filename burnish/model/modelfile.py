"""Ollama's Modelfile for a GGUF file: chat format, where answers end, and greedy decoding, as it was measured."""

from burnish.errors import ModelError
from burnish.model.base import Base
from burnish.model.turns import turns_of

FENCE = '"""'


def modelfile(base: Base, weights: str, *, instruction: str, num_tokens: int) -> str:
    """The text of a Modelfile that lies beside `weights`, for texts of at most `num_tokens`.

    `instruction` is the system message of conversations that have none. Raises ModelError for a chat template that
    Ollama cannot say, and for an instruction with three quotes in a row or with signs that Ollama's reader drops.
    """
    if FENCE in instruction:
        raise ModelError(
            "the task's instruction has three quotes in a row, which a Modelfile cannot hold",
            hint="write them otherwise in task.instruction, or take --format gguf",
        )
    template = turns_of(base.chat).as_go()
    if lost := sorted({sign for sign in template + instruction if not (sign.isprintable() or sign in "\t\n\r")}):
        raise ModelError(
            f"instruction or chat template has {lost[0]!a}, which Ollama drops when it reads a Modelfile",
            hint="write it otherwise in task.instruction, or take --format gguf",
        )
    ends = [base.tokenizer.convert_ids_to_tokens(token) for token in base.chat.end_ids]
    lines = [f"FROM ./{weights}", f"TEMPLATE {FENCE}{template}{FENCE}"]
    lines += [f"SYSTEM {FENCE}{instruction}{FENCE}"] if instruction else []
    lines += [f'PARAMETER stop "{end}"' for end in ends]
    lines += ["PARAMETER temperature 0", f"PARAMETER num_ctx {num_tokens}"]
    return "\n".join(lines) + "\n"
