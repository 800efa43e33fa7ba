"""The process that holds the base for the Compare page: one JSON object a line comes in, one goes out.

It is the only part of the web app that loads torch, and it is started by `Worker`. It yields to everything else on the
machine: lowest claim on the processor, first to go when memory is short. It ends when its input does, or when nobody
has asked for a while.
"""

import json
import os
import select
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from burnish.errors import BurnishError

if TYPE_CHECKING:
    from burnish.loop.answering import Answering

IDLE_S = 600.0
NICE = 10
OOM_SCORE = "700"
"""Of 1000; the process that trains beside it has 0 (proc(5), oom_score_adj)."""


def main(folder: Path, idle_s: float) -> None:
    """Answers until the input ends or `idle_s` seconds were quiet."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints belongs to the log
    _yield_to_others()
    answering: list[Answering] = []
    while select.select([0], [], [], idle_s)[0]:
        line = sys.stdin.buffer.readline()
        if not line:
            return
        print(json.dumps(_answer(folder, answering, json.loads(line))), file=out, flush=True)


def _answer(folder: Path, answering: "list[Answering]", asked: Mapping[str, Any]) -> dict[str, Any]:
    """The answers, or what is wrong; an error is never the end, but for what the system itself ends."""
    try:
        from burnish.loop.answering import Answering
        from burnish.records import Message, as_json

        if not answering:
            answering.append(Answering(folder))
        prompt = [Message(role=turn["role"], content=turn["content"]) for turn in asked["prompt"]]
        said = answering[0].answers(asked["models"], prompt, max_new_tokens=asked["max_new_tokens"], seed=asked["seed"])
        return {"answers": [as_json(reply) for reply in said]}
    except BurnishError as error:
        traceback.print_exc()
        return {"error": error.message}
    except ModuleNotFoundError as error:
        traceback.print_exc()
        return {"error": f"{error.name} is not installed, and comparing needs it: pip install 'burnish[train]'"}
    except Exception:
        traceback.print_exc()
        return {"error": ""}


def _yield_to_others() -> None:
    with suppress(OSError):
        os.nice(NICE)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
