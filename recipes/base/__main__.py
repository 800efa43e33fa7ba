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
from burnish.model.base import find_folder
from burnish.store.files import write_atomic
from burnish.talk import Talk
from burnish.train.checkpoint import claim_folder
from recipes.base.card import card, shown
from recipes.base.corpus import Corpus, read_texts
from recipes.base.documents import Data, prepare
from recipes.base.door import enter
from recipes.base.export import export
from recipes.base.few_shot import read_labelled
from recipes.base.plan import Plan
from recipes.base.report import Questions, Report, report_of
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
        shape=shape_named(shape),
        tokens=tokens,
        minutes=minutes,
        context=context,
        optimizer=optimizer,  # type: ignore[arg-type]
        lr=lr,
        weight_decay=weight_decay,
        dropout=dropout,
        warmup_steps=warmup_steps,
        held_out_lines=held_out,
        seed=seed,
        **chosen,
    )
    questions = _questions(texts, few_shot, rival)
    about = "" if sources is None else _read(sources)
    with working(quiet=as_json) as (talk, should_stop):
        data = _prepared(Corpus(corpus, held_out), plan, out, talk)
        if only_prepare:
            talk.say(f"{data.documents.num_tokens:,} tokens are ready in {out}")
            return
        run = Run(plan, data, out / "checkpoints", device=device, talk=talk)
        run.go(should_stop=should_stop)
        place = export(run.model, data.tokenizer, out / "base")
        report = report_of(run, place, questions, talk)
    _publish(run, report, out, about=about, as_json=as_json)


def _prepared(corpus: Corpus, plan: Plan, out: Path, talk: Talk) -> Data:
    """The run's data, in a folder that from now on belongs to this plan and this corpus."""
    if not out.exists():
        next(read_texts(corpus.path))  # a corpus that is not there marks no folder
    claim_folder(out, {"plan": plan.as_json(), "corpus": corpus.sha256()})
    return prepare(corpus, plan, out, talk)


def _questions(texts: int, few_shot: Path | None, rival: str | None) -> Questions:
    """What the base will be asked; what cannot be asked is told before the training and not after it."""
    if texts < 1:
        raise UsageError(f"--texts is {texts}", hint="Measure on 1 text or more; some 200 give a useful interval.")
    if rival is not None:
        find_folder(rival, None)
    return Questions(num_texts=texts, rows=read_labelled(few_shot) if few_shot else [], rival=rival)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path} cannot be read: {error}", hint="Give --sources a Markdown file, or leave it."
        ) from error


def _publish(run: Run, report: Report, out: Path, *, about: str, as_json: bool) -> None:
    """Writes the card and report.json, and tells the figures."""
    place = out / "base"
    name = f"english-{round(report.num_weights / 1e6)}m"
    found = {"name": name, "base": str(place), **report.as_json(), "curve": [point._asdict() for point in run.curve]}
    write_atomic(place / "README.md", card(name, run.plan, run.data, report, about).encode())
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
