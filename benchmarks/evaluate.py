"""Choosing one of 77 labels for 1,000 rows against batched scoring that repeats the prompt for every label.

    python -m benchmarks.evaluate [--rounds 3] [--quick] [--json]

The peer runs every row with every label as one sequence through transformers, in batches of one length class, with
logits for all positions (its default form) or at label tokens only (tuned), at the best of several batch sizes. It runs
some of the rows, since its time is the same for each. First all three agree on every score of those rows.
"""

import argparse
from collections.abc import Sequence
from itertools import product
from typing import Any

import torch

from benchmarks.line import Timed, line, ratios, tell
from benchmarks.machine import peak_mb
from benchmarks.peers import base_of, claims, flops_per_token, in_turn, middle, rate, seconds_of
from burnish.model.base import Base
from burnish.model.choose import choose, score
from burnish.records import Message

ROWS, PEER_ROWS = 1000, 6
GRID = (32, 77, 154, 308)
VERBS = ("pay", "block", "order", "change", "cancel", "find", "open")
NOUNS = ("card", "account", "limit", "transfer", "refund", "fee", "address", "pin", "loan", "statement", "receipt")
LABELS = tuple(f"{verb}_{noun}" for verb, noun in product(VERBS, NOUNS))
RULES = "Name the intent of the message."


@torch.inference_mode()
def repeated(
    base: Base, prompts: Sequence[list[int]], choices: Sequence[list[int]], batch: int, *, tuned: bool
) -> list:
    """Summed log-probability of every choice behind every prompt, each pair a sequence of its own."""
    model: Any = base.model
    pairs = [(at, place) for at in range(len(prompts)) for place in range(len(choices))]
    pairs.sort(key=lambda pair: len(prompts[pair[0]]) + len(choices[pair[1]]))
    sums = [[0.0] * len(choices) for _ in prompts]
    for start in range(0, len(pairs), batch):
        part = pairs[start : start + batch]
        rows = [[*prompts[at], *choices[place]] for at, place in part]
        width = max(map(len, rows))
        tokens = torch.tensor([row + [0] * (width - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        spots = [
            (b, len(prompts[at]) - 1 + t) for b, (at, place) in enumerate(part) for t in range(len(choices[place]))
        ]
        b_N, t_N = torch.tensor(spots).T
        if tuned:
            hidden = model.get_decoder()(input_ids=tokens, attention_mask=mask, use_cache=False).last_hidden_state
            logits_NV = model.get_output_embeddings()(hidden[b_N, t_N])
        else:
            logits_NV = model(input_ids=tokens, attention_mask=mask, use_cache=False).logits[b_N, t_N]
        found = logits_NV.float().log_softmax(-1).gather(1, tokens[b_N, t_N + 1][:, None])[:, 0]
        totals = torch.zeros(len(part)).index_add_(0, b_N, found)
        for (at, place), total in zip(part, totals.tolist(), strict=True):
            sums[at][place] = total
    return sums


def checked(base: Base, prompts: Sequence[list[int]], choices: Sequence[list[int]]) -> str:
    """Raises when a score or a choice differs by more than rounding."""
    mine, best = score(base, prompts, choices), choose(base, prompts, choices)
    theirs = repeated(base, prompts, choices, 77, tuned=True)
    # in bfloat16 the peer's logits come in steps of 1/8 from 16 on, and hidden states of two routes differ by as much
    step = {"float32": 1e-4, "bfloat16": 0.25}[base.precision]
    off = max(
        abs(one - other) / len(tokens)
        for mine_row, their_row in zip(mine, theirs, strict=True)
        for one, other, tokens in zip(mine_row, their_row, choices, strict=True)
    )
    lost = max(max(row) - row[one.index] for row, one in zip(mine, best, strict=True))
    if off > step or lost > step:
        raise SystemExit(f"{base.precision}: scores differ by {off:.4f} nats a token, choices by {lost:.4f}")
    return (
        f"{base.precision}: scores within {off:.1g} nats a token of the peer's, choices within {lost:.1g} of the best"
    )


def measured(rounds: int, count: int) -> dict:
    """Everything that is reported."""
    exact, base = base_of("english-10m", "float32"), base_of("english-10m", "bfloat16")
    system = Message(role="system", content=RULES)
    prompts = [base.chat.render_prompt([system, Message(role="user", content=text)]) for text in claims(count)]
    choices = [base.chat.answer_tokens(label) for label in LABELS]
    few = sorted(prompts, key=len)[:: count // PEER_ROWS][:PEER_ROWS]
    checks = [checked(one, few, choices) for one in (exact, base)]
    bases = {"float32": exact, "bfloat16": base}
    grid = {}
    for kind, batch in [("bfloat16", batch) for batch in GRID] + [("float32", GRID[1])]:
        seconds = seconds_of(lambda k=kind, b=batch: repeated(bases[k], few[1::2], choices, b, tuned=True))
        grid[f"{kind} batch {batch}"] = len(few[1::2]) / seconds
    best = max(grid, key=lambda key: grid[key])
    kind, batch = best.split()[0], int(best.split()[2])
    limit = rate(base)
    seconds = in_turn(
        rounds,
        {
            "choose": lambda: seconds_of(lambda: choose(base, prompts, choices)),
            "score": lambda: seconds_of(lambda: score(base, prompts[::8], choices)),
            "peer default": lambda: seconds_of(lambda: repeated(base, few[::2], choices, 77, tuned=False)),
            "peer tuned": lambda: seconds_of(lambda: repeated(bases[kind], few, choices, batch, tuned=True)),
        },
    )
    counts = {"choose": count, "score": len(prompts[::8]), "peer default": len(few[::2]), "peer tuned": len(few)}
    engines = {key: Timed(seconds=some, work=counts[key]) for key, some in seconds.items()}
    limit = max(limit, rate(base))
    own = sum(len(prompt) for prompt in prompts)
    scored = ratios(engines["score"], engines["peer tuned"])
    return line(
        "evaluate",
        engines,
        unit="rows",
        default="peer default",
        tuned="peer tuned",
        limit_share=own * flops_per_token(base) / middle(seconds["choose"]) / limit,
        checks=checks,
        ratio_score_tuned=scored[0] if scored else None,
        rows=count,
        labels=len(LABELS),
        prompt_tokens=own / count,
        label_tokens=sum(map(len, choices)) / len(choices),
        matrix_rate_gflops=limit / 1e9,
        rows_per_s_by_round={key: engine.speeds for key, engine in engines.items()},
        best=best,
        grid_rows_per_s=grid,
        peak_mb_of_all=peak_mb(),
    )


def shown(found: dict) -> str:
    """The findings as lines to read."""
    lines = [
        f"{found['rows']} rows of {found['prompt_tokens']:.0f} tokens, {found['labels']} labels of "
        f"{found['label_tokens']:.1f} tokens; matrix rate {found['matrix_rate_gflops']:.0f} GFLOP/s in bfloat16",
        *(f"check {check}" for check in found["checks"]),
        *(f"peer, once: {key} {value:.2f} rows/s" for key, value in found["grid_rows_per_s"].items()),
    ]
    for key, speeds in found["rows_per_s_by_round"].items():
        lines.append(f"{key}: {middle(speeds):,.2f} rows/s, {min(speeds):,.2f} to {max(speeds):,.2f}")
    lines.append(
        f"choose: {found['ratio_default']:.0f} times the default, {found['ratio_tuned']:.0f} times {found['best']}; "
        f"score of all labels: {found['ratio_score_tuned']:.0f} times that; choosing takes the prompts' products at "
        f"{100 * found['limit_share']:.0f}% of the matrix rate; peak {found['peak_mb_of_all']:.0f} MB for all"
    )
    return "\n".join(lines)


def main() -> None:
    """Prints what was found, or one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="96 rows, one round")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measured(1, 96) if options.quick else measured(options.rounds, ROWS)
    tell(found, as_json=options.json, text=shown(found))


if __name__ == "__main__":
    main()
