"""The command: texts in, a base model out; killed or stopped, the same command goes on from its last checkpoint.

python -m recipes.base CORPUS --out FOLDER
"""

import json
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from burnish.cli.options import working
from burnish.cli.terminal import print_json, print_text
from burnish.errors import UsageError
from burnish.store.files import write_atomic
from burnish.train.checkpoint import claim_folder
from recipes.base.card import card, shown
from recipes.base.corpus import Corpus
from recipes.base.documents import prepare
from recipes.base.door import enter
from recipes.base.export import export
from recipes.base.few_shot import read_labelled
from recipes.base.plan import Plan
from recipes.base.report import Report, report_of
from recipes.base.run import Run
from recipes.base.shape import shape_named

ON_CPU: dict[str, Any] = {"rows": 8, "micro_rows": 4}
"""What a CPU takes instead of the plan's usual rows, when none are asked for."""


def pretrain(
    corpus: Annotated[Path, typer.Argument(help="One JSON string a line, .jsonl or .jsonl.xz.")],
    out: Annotated[Path, typer.Option(help="Folder of this run; the base comes into its folder base.")],
    shape: Annotated[str, typer.Option(help="1m, 2m, 10m, 21m or 30m.")] = "21m",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    tokens: Annotated[int, typer.Option(help="Most tokens to learn from, repeats counted.")] = 500_000_000,
    minutes: Annotated[float | None, typer.Option(help="Most minutes of training.")] = None,
    optimizer: Annotated[str, typer.Option(help="muon or adamw.")] = "muon",
    lr: Annotated[float, typer.Option(help="Peak learning rate.")] = 0.01,
    weight_decay: Annotated[float, typer.Option(help="More passes over a text want more.")] = 0.1,
    dropout: Annotated[float, typer.Option(help="0.1 may help beyond four passes.")] = 0.0,
    rows: Annotated[int | None, typer.Option(help="Rows a step; auto: 128, on a CPU 8.")] = None,
    micro_rows: Annotated[int | None, typer.Option(help="Rows at once; auto: 64, on a CPU 4.")] = None,
    context: Annotated[int, typer.Option(help="Tokens of a row.")] = 1024,
    warmup_steps: Annotated[int, typer.Option(help="Steps over which the rate rises.")] = 100,
    held_out: Annotated[int, typer.Option(help="Last lines that are never trained on.")] = 1000,
    seed: Annotated[int, typer.Option(help="Decides the first weights and the order of rows.")] = 0,
    texts: Annotated[int, typer.Option(help="Held-out texts to measure on.")] = 200,
    few_shot: Annotated[Path | None, typer.Option(help="JSON lines with text and label, to ask it untuned.")] = None,
    rival: Annotated[str | None, typer.Option(help="Another base to measure on the same texts.")] = None,
    sources: Annotated[Path | None, typer.Option(help="Markdown for the card: whose texts, which licences.")] = None,
    only_prepare: Annotated[
        bool, typer.Option("--only-prepare", help="Stop when the texts are tokens, to train elsewhere.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Figures as JSON on stdout.")] = False,
) -> None:
    """Pre-trains a small base model and writes it as a folder that burnish can load."""
    device = _device(device)
    chosen: dict[str, Any] = {**(ON_CPU if device == "cpu" else {}), **_given(rows=rows, micro_rows=micro_rows)}
    plan = Plan(
        shape=shape_named(shape), tokens=tokens, minutes=minutes, context=context, optimizer=optimizer,  # type: ignore[arg-type]
        lr=lr, weight_decay=weight_decay, dropout=dropout, warmup_steps=warmup_steps, held_out_lines=held_out,
        seed=seed, **chosen,
    )  # fmt: skip
    labelled = read_labelled(few_shot) if few_shot else []
    about = sources.read_text(encoding="utf-8") if sources else ""
    source = Corpus(corpus, held_out)
    with working(quiet=as_json) as (talk, should_stop):
        corpus_hash = source.sha256() if corpus.is_file() else ""  # prepare tells what is wrong with a missing one
        claim_folder(out, {"plan": plan.as_json(), "corpus": corpus_hash})
        data = prepare(source, plan, out, talk)
        if only_prepare:
            talk.say(f"{data.documents.num_tokens:,} tokens are ready in {out}")
            return
        run = Run(plan, data, out / "checkpoints", device=device, talk=talk)
        run.go(should_stop=should_stop)
        place = export(run.model, data.tokenizer, out / "base")
        report = report_of(run, place, num_texts=texts, rows=labelled, rival=rival, talk=talk)
    name = f"english-{round(plan.shape.num_weights / 1e6)}m"
    found = {"name": name, "base": str(place), **report.as_json(), "curve": [point._asdict() for point in run.curve]}
    write_atomic(place / "README.md", card(name, plan, data, report, about).encode())
    write_atomic(out / "report.json", json.dumps(found, indent=1).encode())
    if as_json:
        print_json(found)
    else:
        _tell(report, place)


def _device(name: str) -> str:
    has_cuda = torch.cuda.is_available()
    if name not in ("auto", "cpu", "cuda") or (name == "cuda" and not has_cuda):
        what = "torch sees no CUDA device here" if name == "cuda" else f"there is no device {name!r}"
        raise UsageError(what, hint="Take --device cpu, or auto.")
    return ("cuda" if has_cuda else "cpu") if name == "auto" else name


def _given(**options: int | None) -> dict[str, int]:
    return {name: value for name, value in options.items() if value is not None}


def _tell(report: Report, place: Path) -> None:
    print_text(f"{report.steps:,} steps, {report.tokens:,} tokens, {report.tokens_per_s:,.0f} tokens/s")
    print_text(f"held out    {shown(report.per_token)} nats per token, {shown(report.per_byte)} per byte")
    for name, cost in report.rounding.items():
        print_text(f"{name:<11} {report.size_bytes[name] / 1e6:.1f} MB, costs {shown(cost)} nats per byte")
    if report.few_shot is not None:
        print_text(f"few shots   {shown(report.few_shot)} right, chance {report.chance:.3f}")
    if report.rival is not None:
        print_text(f"{report.rival.name} takes {shown(report.rival.worse_per_byte)} nats per byte more")
    print_text(f"base        {place}")


if __name__ == "__main__":
    enter(pretrain, "python -m recipes.base")
