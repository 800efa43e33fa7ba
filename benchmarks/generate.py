"""Generating with a shared system prompt against `transformers.generate`, one by one and at its best batch.

    python -m benchmarks.generate [--model english-10m|smollm-135m] [--rounds 3] [--quick] [--json]

Greedy, the same prompts and the same weights in one process. First both say the same, in float32 and in bfloat16. Then
the peer's batch sizes and number types are tried once, and its best takes turns with burnish and with the peer one by
one. The peer runs a part of the prompts (its speed does not depend on how many there are); tokens per second compare.
"""

import argparse
from collections.abc import Sequence

from benchmarks.line import Timed, line, tell
from benchmarks.machine import peak_mb
from benchmarks.peers import (
    base_of,
    claims,
    flops_per_token,
    in_turn,
    middle,
    rate,
    same_or_tie,
    seconds_of,
    transformers_greedy,
)
from burnish.model.base import Base
from burnish.model.generator import Generator, Request
from burnish.records import Message

NEW_TOKENS = 64
COMPLETIONS = {"english-10m": 512, "smollm-135m": 128}
GRID = {"english-10m": (16, 32, 64, 128), "smollm-135m": (16, 32, 64)}
RULES = (
    "You answer letters about claims. Be kind, be short, say what happens next and when, and name the office that "
    "decides. Never promise money. If the letter has no claim number, ask for it. If it is an appeal, name the last "
    "day on which it may be sent. Sign as the claims office."
)


def prompts_of(base: Base, count: int) -> list[tuple[int, ...]]:
    """A system prompt that all share, and a letter each."""
    system = Message(role="system", content=RULES)
    return [tuple(base.chat.render_prompt([system, Message(role="user", content=text)])) for text in claims(count)]


def ours(base: Base, prompts: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """All answers by the generator as it comes, longest prompt first as `generate` orders them."""
    order = sorted(range(len(prompts)), key=lambda at: -len(prompts[at]))
    requests = [Request(prompt=prompts[at], max_new_tokens=NEW_TOKENS, end_ids=()) for at in order]
    found = {order[event.number]: event.answer for event in Generator(base).run(requests) if event.answer}
    return [list(found[at].tokens) for at in range(len(prompts))]


def main() -> None:
    """Prints what was found, or one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="english-10m", choices=sorted(COMPLETIONS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", help='the peer\'s best as an earlier run found it, such as "bfloat16 batch 32"')
    parser.add_argument("--quick", action="store_true", help="48 completions, one round, the peer at batch 16 untried")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.peer = 1, options.peer or "bfloat16 batch 16"
    found = measured(options.model, options.rounds, options.peer, 48 if options.quick else COMPLETIONS[options.model])
    tell(found, as_json=options.json, text=shown(found))


def measured(name: str, rounds: int, best: str | None, count: int) -> dict:
    """Everything that is reported."""
    exact, base = base_of(name, "float32"), base_of(name, "bfloat16")
    prompts = prompts_of(base, count)
    few = prompts[:: len(prompts) // 6][: 2 if name == "smollm-135m" else 6]
    checks = [same_or_tie(one, few, ours(one, few), _peer(one, few, len(few))) for one in (exact, base)]
    ours(base, prompts[:32])
    before = peak_mb()
    first = seconds_of(lambda: ours(base, prompts))
    memory_ours = peak_mb() - before
    bases = {"float32": exact, "bfloat16": base}
    grid = {} if best else _grid(name, bases, prompts)
    best = best or max(grid, key=lambda key: grid[key])
    kind, batch = best.split()[0], int(best.split()[2])
    best_rows = _part(prompts, max(batch, min(count, 64 if name == "english-10m" else 32)))
    alone = few[:1] if name == "smollm-135m" else few
    limit = rate(base)
    seconds = in_turn(
        rounds,
        {
            "burnish": lambda: seconds_of(lambda: ours(base, prompts)),
            "one by one": lambda: seconds_of(lambda: _peer(base, alone, 1)),
            "best batch": lambda: seconds_of(lambda: _peer(bases[kind], best_rows, batch)),
        },
    )
    counts = {"burnish": len(prompts), "one by one": len(alone), "best batch": len(best_rows)}
    engines = {key: Timed(seconds=some, work=counts[key] * NEW_TOKENS) for key, some in seconds.items()}
    shared = len(_common(prompts))
    tokens = len(prompts) * NEW_TOKENS + sum(len(prompt) - shared for prompt in prompts) + shared
    limit = max(limit, rate(base))
    return line(
        "generate",
        engines,
        unit="tokens",
        default="one by one",
        tuned="best batch",
        limit_share=tokens * flops_per_token(base) / middle(seconds["burnish"]) / limit,
        checks=checks,
        model=name,
        completions=len(prompts),
        prompt_tokens=sum(map(len, prompts)) / len(prompts),
        shared_tokens=shared,
        matrix_rate_gflops=limit / 1e9,
        tokens_per_s_by_round={key: engine.speeds for key, engine in engines.items()},
        seconds_first_run=first,
        best=best,
        grid_tokens_per_s=grid,
        peak_mb_added_by_burnish=memory_ours,
        peak_mb_of_all=peak_mb(),
    )


def _peer(base: Base, prompts: Sequence[Sequence[int]], batch: int) -> list[list[int]]:
    return transformers_greedy(base, prompts, batch, NEW_TOKENS)


def _part(prompts: Sequence[tuple[int, ...]], count: int) -> list[tuple[int, ...]]:
    """So many prompts, with as many long and short ones as all have."""
    return sorted(prompts, key=len)[:: len(prompts) // count][:count]


def _grid(name: str, bases: dict[str, Base], prompts: Sequence[tuple[int, ...]]) -> dict[str, float]:
    """Tokens per second of the peer in every form, one batch each."""
    found = {}
    for kind, batch in [("bfloat16", batch) for batch in GRID[name]] + [("float32", GRID[name][1])]:
        rows = _part(prompts, batch)
        seconds = seconds_of(lambda kind=kind, rows=rows, batch=batch: _peer(bases[kind], rows, batch))
        found[f"{kind} batch {batch}"] = batch * NEW_TOKENS / seconds
    return found


def _common(prompts: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    low, high = min(prompts), max(prompts)
    return low[: next(at for at in range(len(low)) if low[at] != high[at])]


def shown(found: dict) -> str:
    """The findings as lines to read."""
    lines = [
        f"{found['model']}: {found['completions']} completions of {NEW_TOKENS} tokens, prompts of "
        f"{found['prompt_tokens']:.0f} tokens, {found['shared_tokens']} shared; matrix rate "
        f"{found['matrix_rate_gflops']:.0f} GFLOP/s in bfloat16",
        *(f"check {check}" for check in found["checks"]),
        *(f"peer, once: {key} {value:,.0f} tokens/s" for key, value in found["grid_tokens_per_s"].items()),
    ]
    for key, speeds in found["tokens_per_s_by_round"].items():
        lines.append(f"{key}: {middle(speeds):,.0f} tokens/s, {min(speeds):,.0f} to {max(speeds):,.0f}")
    lines.append(
        f"{found['ratio_default']:.1f} times one by one, {found['ratio_tuned']:.1f} times {found['best']}; "
        f"{100 * found['limit_share']:.0f}% of the matrix rate; burnish adds {found['peak_mb_added_by_burnish']:.0f} MB"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
