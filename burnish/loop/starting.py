"""How an exported folder is started and asked: START.md for people, start.sh for machines, quoted for a shell."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from burnish.errors import ModelError
from burnish.records import Message, ModelVersion, Task

VLLM_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM (0.32) takes as --max-lora-rank, from 8 on."""
GREEDY = json.dumps({"temperature": 0})
ASKED = " QUESTION"
"""What ends a command that is given a question; in start.sh the words after it stand there."""
MOST_LABELS = 50
"""A request with more labels than these is not shown whole."""
SCRIPT = '''"""Answers one question with the adapter in this folder: python start.py "question"."""

import sys
from pathlib import Path

from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = Path(__file__).parent
BASE, REVISION, DTYPE = {base!r}, {revision!r}, {dtype!r}
INSTRUCTION = {instruction!r}

tokenizer = AutoTokenizer.from_pretrained(BASE, revision=REVISION)
base = AutoModelForCausalLM.from_pretrained(BASE, revision=REVISION, dtype=DTYPE)
model = PeftModel.from_pretrained(base, str(HERE)).eval()
if (HERE / "chat_template.jinja").exists():
    tokenizer.chat_template = (HERE / "chat_template.jinja").read_text(encoding="utf-8")
messages = [{{"role": "system", "content": INSTRUCTION}}] if INSTRUCTION else []
messages += [{{"role": "user", "content": sys.argv[1]}}]
text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
prompt = tokenizer(text, add_special_tokens=False, return_tensors="pt")
ends, pad = {ends!r}, {pad!r}
said = model.generate(**prompt, do_sample=False, max_new_tokens={longest!r}, eos_token_id=ends, pad_token_id=pad)
print(tokenizer.decode(said[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True))
'''


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What a start command has to know."""

    version: ModelVersion
    task: Task
    base: str
    """A hub id, or a folder of this machine."""
    revision: str | None
    dtype: str
    rank: int
    num_tokens: int
    end_ids: tuple[int, ...]
    pad_id: int
    has_template: bool
    """The folder holds a chat template that the base's own files do not."""


def commands(form: str, served: Served) -> tuple[str, ...]:
    """The commands that start it, to be given in the exported folder; words are quoted for a shell.

    Raises ModelError for a rank that vLLM does not take.
    """
    name = served.version.name
    if form == "peft":
        return (shlex.join(["python", "start.py"]) + ASKED,)
    if form == "merged":
        return (shlex.join(["vllm", "serve", ".", "--served-model-name", name, *_plainly(served)]),)
    if form == "gguf":
        words = ["llama-server", "--model", "model.gguf", "--alias", name, "--jinja", "--temp", "0"]
        return (shlex.join([*words, "--ctx-size", str(served.num_tokens)]),)
    if form == "ollama":
        return (shlex.join(["ollama", "create", name, "-f", "Modelfile"]), shlex.join(["ollama", "run", name]))
    return (shlex.join(_vllm(served)),)


def _vllm(served: Served) -> list[str]:
    words = ["vllm", "serve", served.base, *(["--revision", served.revision] if served.revision else [])]
    words += ["--enable-lora", "--max-lora-rank", str(vllm_rank(served.rank))]
    words += ["--lora-modules", f"{served.version.name}=./", *_plainly(served)]
    return words + (["--chat-template", "chat_template.jinja"] if served.has_template else [])


def _plainly(served: Served) -> list[str]:
    """As it was measured: the same type of numbers, and the likeliest token."""
    return ["--dtype", served.dtype, "--generation-config", "vllm", "--override-generation-config", GREEDY]


def vllm_rank(rank: int) -> int:
    """The smallest rank that vLLM takes and that has room for this one. Raises ModelError where there is none."""
    for allowed in VLLM_RANKS:
        if rank <= allowed:
            return allowed
    raise ModelError(
        f"the adapter has rank {rank}, and vLLM takes at most {VLLM_RANKS[-1]}", hint="take --format merged"
    )


def script(served: Served) -> str:
    """start.py of an adapter in PEFT's format."""
    return SCRIPT.format(
        base=served.base,
        revision=served.revision,
        dtype=served.dtype,
        instruction=served.task.instruction,
        ends=list(served.end_ids),
        pad=served.pad_id,
        longest=served.task.max_new_tokens,
    )


def shell(lines: Sequence[str]) -> str:
    """start.sh: the commands, from wherever it is called."""
    called = [f'{line.removesuffix(ASKED)} "$@"' if line.endswith(ASKED) else line for line in lines]
    return "\n".join(["#!/bin/sh", "set -eu", 'cd "$(dirname "$0")"', *called]) + "\n"


def page(form: str, served: Served, lines: Sequence[str], parity: str, warnings: Sequence[str]) -> str:
    """START.md: how it was checked, the commands, and how it is asked as it was measured."""
    parts = [f"# Start {served.version.name}", parity, "In this folder (or `sh start.sh` from anywhere):"]
    parts += ["```sh\n" + "\n".join(lines) + "\n```", *[f"- {warning}" for warning in warnings]]
    if form != "peft":
        body = json.dumps(_request(form, served), indent=2, ensure_ascii=False)
        parts += ["Ask it over the OpenAI API, at `/v1/chat/completions`:", f"```json\n{body}\n```"]
    parts += [_measured(served.task)]
    return "\n\n".join(parts) + "\n"


def _request(form: str, served: Served) -> dict[str, Any]:
    task = served.task
    told = [Message(role="system", content=task.instruction)] if task.instruction else []
    messages = [*told, Message(role="user", content="...")]
    body: dict[str, Any] = {"model": served.version.name, "temperature": 0, "max_tokens": task.max_new_tokens}
    body["messages"] = [{"role": turn.role, "content": turn.content} for turn in messages]
    if form == "vllm":  # which looks for them in the base's own files, where the end of a turn may be missing
        body["stop_token_ids"] = list(served.end_ids)
    if task.kind == "label" and len(task.labels) <= MOST_LABELS and form in ("vllm", "merged"):
        body["structured_outputs"] = {"choice": list(task.labels)}
    return body


def _measured(task: Task) -> str:
    if task.kind == "label":
        return (
            f"It was measured by the likeliest of {len(task.labels)} labels, each looked at whole. A server that "
            "writes token by token can end at another label, or at none: `burnish serve` answers as it was measured."
        )
    if task.kind == "fields":
        names = ", ".join(task.fields)
        return f"It was measured while held to a JSON object with the keys {names}, in this order."
    return "It was measured with the likeliest token each time."
