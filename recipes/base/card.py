"""The card of a base: what it is, what it has read, what it can do, each figure with its interval."""

from burnish.fingerprint import fingerprint_file
from burnish.stats.rates import Estimate
from recipes.base.documents import Data
from recipes.base.plan import Plan
from recipes.base.report import Report


def card(name: str, plan: Plan, data: Data, report: Report, sources: str) -> str:
    """The README of an exported base, in Markdown."""
    return f"""# {name}, a base model made by burnish's own recipe

| | |
|---|---|
{_facts(plan, data, report)}

## What it has read

{sources.strip() or "Where the texts come from and under which licences they stand was not told to the recipe."}

## What to expect

{_expectations(report)}

## What not to do with it

Do not let it answer people. What it writes freely is often wrong, and it can repeat the prejudices of its texts.
"""


def _facts(plan: Plan, data: Data, report: Report) -> str:
    shape = plan.shape
    rows = {
        "Architecture": f"Llama: {shape.layers} layers, hidden size {shape.hidden}, {shape.heads} attention heads of "
        f"{shape.head_size}, SwiGLU of {shape.feed_forward}, rotary positions, tied embeddings",
        "Size": f"{shape.num_weights:,} parameters in bfloat16, {report.size_bytes['bfloat16'] / 1e6:.1f} MB",
        "Tokenizer": f"byte-level BPE with {shape.vocab:,} tokens, digits one by one",
        "Conversations": "ChatML; `<\\|im_end\\|>` (3) ends a turn, `<\\|im_start\\|>` is 2, `<\\|pad\\|>` 1, "
        "`<\\|endoftext\\|>` 0",
        "Context": f"trained on rows of {plan.context:,} tokens; positions up to {shape.positions:,}",
        "Training": f"{report.passes:.1f} passes over {data.documents.num_tokens:,} tokens: {report.steps:,} steps of "
        f"{plan.tokens_per_step:,}, {plan.optimizer}, peak learning rate {plan.lr:g}, weight decay "
        f"{plan.weight_decay:g}, dialogues {plan.dialogue_weight} times as often in the last {plan.decay_share:.0%}; "
        f"{report.seconds / 60:.0f} minutes",
        "Text": f"`{data.corpus.path.name}` without its last {data.corpus.held_out_lines:,} lines, sha256 "
        f"`{fingerprint_file(data.corpus.path)}`",
        "Held-out loss": f"{shown(report.per_token)} nats per token, {shown(report.per_byte)} per byte, on "
        f"{report.num_texts:,} texts that it has not read",
    }
    return "\n".join(f"| {key} | {value} |" for key, value in rows.items())


def _expectations(report: Report) -> str:
    lines = [
        f"Stored as {name} it costs {shown(cost)} nats per byte more than in float32."
        for name, cost in report.rounding.items()
    ]
    if report.few_shot is not None and report.chance is not None:
        lines.append(
            f"Untuned, shown one row a label: {shown(report.few_shot)} right of {report.few_shot.n} rows, one seed; "
            f"guessing gives {report.chance:.3f}."
        )
    if report.rival is not None:
        lines.append(
            f"{report.rival.name} takes {shown(report.rival.worse_per_byte)} nats per byte more on the same texts, "
            f"{report.rival.worse_per_token:+.3f} for each token of this base."
        )
    return "\n".join(f"- {line}" for line in lines)


def shown(estimate: Estimate) -> str:
    """A value with its 95% interval."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "not measured"
    return f"{estimate.value:.4f} [{estimate.low:.4f}, {estimate.high:.4f}]"
