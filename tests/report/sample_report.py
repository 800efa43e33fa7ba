"""A round's report as the loop would fill it, for the tests of the renderers."""

import math
from dataclasses import replace

from burnish.diagnose.diagnosis import Diagnosis
from burnish.evaluate.change import MeasureChange, Sample, SliceChange
from burnish.evaluate.handoff import HandoffChange, HandoffPart, HandoffSide
from burnish.evaluate.threshold import Threshold
from burnish.records import (
    Candidate,
    Comparison,
    Cost,
    CurvePoint,
    Flip,
    Guard,
    Interval,
    ModelVersion,
    SliceComparison,
    Trial,
    Verdict,
    Weakness,
)
from burnish.report.record import (
    Baseline,
    DataSummary,
    DiagnosisReport,
    NextCommand,
    PastRound,
    Piece,
    RoundReport,
    SearchReport,
    SearchTrial,
    SettingReason,
    StageCost,
)
from burnish.stats.many import holm
from burnish.stats.pairs import paired_interval, paired_p
from burnish.stats.rates import wilson


def rate(right: int, n: int) -> Interval:
    return Interval(**wilson(right, n)._asdict())


def part(name: str, wins: int, losses: int, both: int, neither: int) -> SliceComparison:
    n = wins + losses + both + neither
    d = [1.0] * wins + [-1.0] * losses + [0.0] * (both + neither)
    return SliceComparison(
        slice=name,
        before=rate(losses + both, n),
        after=rate(wins + both, n),
        gain=Interval(**paired_interval(d)._asdict()),
        wins=wins,
        losses=losses,
        ties=both + neither,
        p_value=paired_p(d, two_sided=True),
    )


PARTS = (
    part("channel=phone", 14, 1, 6, 9),
    part("channel=post", 3, 1, 2, 3),
    part("channel=web", 48, 2, 7, 14),
    part("intent=appeal", 2, 4, 1, 2),
    part("intent=change of address", 9, 0, 3, 1),
    part("intent=documents missing", 8, 0, 2, 3),
    part("intent=eligibility, complex", 2, 0, 0, 6),
    part("intent=interstate claim", 1, 1, 0, 4),
    part("intent=payment status", 22, 0, 6, 2),
    part("intent=sign in", 10, 0, 2, 3),
    part("intent=weekly certification", 11, 0, 1, 5),
)


def judged() -> tuple[SliceComparison, ...]:
    adjusted = holm([p.p_value for p in PARTS])
    verdicts = ["no difference seen" if p > 0.05 else "better" for p in adjusted]
    return tuple(replace(p, p_holm=h, verdict=v) for p, h, v in zip(PARTS, adjusted, verdicts, strict=True))


def curve(lr: float, floor: float, speed: float, steps: int = 24) -> tuple[CurvePoint, ...]:
    points = []
    for k in range(1, steps + 1):
        epoch = k / 4
        fall = math.exp(-speed * epoch)
        dev = floor + 3.1 * fall + 0.03 * max(0.0, epoch - 3.5) ** 2 * (speed > 1)
        points.append(CurvePoint(step=k * 8, epoch=epoch, train_loss=floor * 0.7 + 3.3 * fall, dev_loss=dev, lr=lr))
    return tuple(points)


def trial(name: str, lr: float, floor: float, speed: float, right: int) -> Trial:
    return Trial(
        candidate=Candidate(name=name, rank=16, alpha=32.0, lr=lr, seed=0),
        curve=curve(lr, floor, speed),
        best_step=136,
        dev_loss=floor,
        dev_score=rate(right, 112),
        adapter_hash="c" * 64,
        stopped="early",
    )


def searched(
    number: int, lr: float, stopped: str, *, floor: float = 0.6, right: int = 0, rungs: int = 3
) -> SearchTrial:
    """A trial of the search: one that stopped has the first part of its curve and no score."""
    whole = curve(lr, floor, 1.1)
    kept = {"outrun": whole[: 24 >> (4 - rungs)], "diverged": whole[:2]}.get(stopped, whole)
    start = CurvePoint(step=0, epoch=0.0, train_loss=None, dev_loss=4.3, lr=0.0)
    return SearchTrial(
        number=number,
        values={"lr": lr, "rank": 16, "batch_size": 8, "epochs": 6, "human_weight": 3.0, "replay_share": 0.05},
        trial=Trial(
            candidate=Candidate(name=f"t{number:03d}", rank=16, alpha=32.0, lr=lr, seed=0),
            curve=(start, *kept),
            best_step=kept[-1].step,
            dev_loss=min(point.dev_loss or math.inf for point in kept),
            dev_score=rate(right, 112) if right else None,
            adapter_hash="c" * 64,
            stopped=stopped,
        ),
        move=0.013 + number / 1000 if right else None,
        rungs=rungs,
        num_rungs=3,
    )


def search(**changes: object) -> SearchReport:
    """Sixteen trials: seven came to an end of their own, eight were left behind, one diverged."""
    ended = [
        searched(
            number, 1e-3 + number * 1e-4, "early" if number % 2 else "done", floor=0.5 + number / 40, right=86 - number
        )
        for number in range(7)
    ]
    left = [
        searched(number, 2e-4 * number, "outrun", floor=1.0 + number / 20, rungs=1 + number % 2)
        for number in range(7, 15)
    ]
    wild = searched(15, 6.6e-3, "diverged", rungs=0)
    fields: dict[str, object] = {
        "study": "claims-0123456789ab",
        "num_rows": 452,
        "total_rows": 452,
        "trials": (*ended, *left, wild),
        "chosen": 2,
        "best": 0,
        "reason": "75.0% is within one standard error (4.0%) of the best, 76.8%, and moves the base less",
        "is_used": True,
    }
    return SearchReport(**(fields | changes))


FLIPS = (
    Flip(
        example="c-0184",
        prompt="I got a letter that says my claim was denied because I quit. That is not what happened, my hours were "
        "cut to nothing. Who do I write to?",
        expected="appeal",
        before="appeal",
        after="payment status",
        gained=False,
        slices={"intent": "appeal", "channel": "post"},
    ),
    Flip(
        example="c-0377",
        prompt="how do i fight this decision",
        expected="appeal",
        before="appeal",
        after="documents missing",
        gained=False,
    ),
    *(
        Flip(
            example=f"c-{k}",
            prompt=text,
            expected=label,
            before="payment status" if label != "payment status" else "appeal",
            after=label,
            gained=True,
        )
        for k, (text, label) in enumerate(
            [
                ("It has been nine days and nothing in my account. Did something go wrong?", "payment status"),
                ("We moved to Mill Lane last month, should the letters go there from now on?", "change of address"),
                ("The site keeps telling me that my PIN has expired.", "sign in"),
                ("Forgot to certify on Sunday, can I still do it today?", "weekly certification"),
            ]
        )
    ),
)


def diagnosis() -> DiagnosisReport:
    """Two weak places, one of them confirmed."""
    weak = Weakness(
        name="intent=appeal",
        kind="declared",
        columns={"intent": "appeal"},
        found=rate(2, 12),
        checked=rate(1, 11),
        p_holm=0.004,
        confirmed=True,
        prevalence=0.104,
        shrunk_error=0.83,
        priority=0.04,
        causes={"missing knowledge": 7, "ambiguous or wrong gold": 3},
        remedy="generate rows of this answer, or ask people for real ones",
        examples=("c-0184", "c-0377"),
    )
    topic = replace(
        weak,
        name="text: letter, deadline",
        kind="text",
        columns={},
        terms=("letter", "deadline"),
        p_holm=None,
        confirmed=False,
        examples=("c-0184",),
    )
    found = Diagnosis(
        model="claims-r1",
        metric="accuracy",
        num_looked=110,
        num_checked=112,
        num_wrong=91,
        weaknesses=(weak, topic),
        causes={"missing knowledge": 70, "ambiguous or wrong gold": 21},
        num_suspects=14,
        untested=("text: letter, deadline: 3 rows inside and 109 outside on dev_b; each side needs 5",),
    )
    return DiagnosisReport(
        found=found,
        texts={
            "c-0184": "I got a letter that says my claim was denied because I quit",
            "c-0377": "how do i fight this decision",
        },
        note="The untuned base was asked without solved examples.",
    )


NONE = Interval(value=None, low=None, high=None, n=0)


def measures() -> tuple[MeasureChange, ...]:
    """One that got worse, one in nats, and one that does not apply."""
    flips = MeasureChange(
        family="bias",
        name="flips: names",
        counts="Share of answers that change when only the names in the prompt does.",
        direction="lower is better",
        unit="share",
        before=rate(1, 40),
        after=rate(9, 40),
        difference=Interval(value=0.2, low=0.07, high=0.34, n=40),
        verdict="worse",
        p_value=0.008,
        slices=(
            SliceChange(
                slice="channel=web",
                before=rate(0, 25),
                after=rate(8, 25),
                difference=Interval(value=0.32, low=0.13, high=0.52, n=25),
                verdict="worse",
            ),
        ),
        note="after: +15.0 points [+2.1, +27.9] on 40 rows beyond neutral swaps, biased",
        samples=(Sample(example="c-0201", text="english to arabic: sign in"),),
    )
    divergence = replace(
        flips,
        family="forgetting",
        name="KL to the base",
        unit="nats per token",
        before=Interval(value=0.0, low=0.0, high=0.0, n=48),
        after=Interval(value=1.204, low=0.981, high=1.427, n=48),
        difference=Interval(value=1.204, low=0.981, high=1.427, n=48),
        slices=(),
        samples=(),
        note="",
    )
    absent = MeasureChange(
        family="hallucination",
        name="hallucination",
        counts="Share of answers with something that the prompt does not support.",
        direction="lower is better",
        unit="share",
        before=NONE,
        after=NONE,
        difference=NONE,
        verdict="not compared",
        why_missing="label: a label of a closed set states no facts",
    )
    return (absent, flips, divergence)


def handoffs() -> HandoffChange:
    """A model that handed everything off, and one that answers two thirds by itself."""
    nothing = Threshold(
        value=None,
        target=0.1,
        delta=0.05,
        num_rows=98,
        num_answered=0,
        num_wrong=0,
        why="not-proven: it errs often",
    )
    some = replace(nothing, value=0.71, num_answered=80, num_wrong=2, why="")
    overall = HandoffPart(
        name="all",
        before=rate(110, 110),
        after=rate(48, 110),
        reduction=Interval(value=0.564, low=0.466, high=0.652, n=110),
        relative=Interval(value=0.564, low=0.473, high=0.655, n=110),
        verdict="better",
        p_value=1e-9,
    )
    same = replace(overall, name="rare answer", before=rate(12, 12), after=rate(12, 12), verdict="no information")
    none = replace(same, reduction=Interval(value=0.0, low=-0.24, high=0.24, n=12), relative=NONE, p_value=None)
    return HandoffChange(
        before=HandoffSide(model="claims-r1", threshold=nothing, unsure=rate(110, 110), wrong=NONE),
        after=HandoffSide(model="claims-r2", threshold=some, unsure=rate(44, 110), wrong=rate(4, 66)),
        overall=overall,
        rare=(none,),
        slices=(replace(overall, name="channel=web"), replace(none, name="channel=fax")),
        rare_values={"answer": ("appeal",)},
        num_unscored=1,
    )


def verdict() -> Verdict:
    return Verdict(
        decision="PROMOTE",
        reason="Promoted: better: gain +50.6 points, one-sided p 3e-11 at level 0.03; no guard objects.",
        vault="vault_1",
        vault_hash="a" * 64,
        attempt=1,
        alpha=0.03,
        num_rows=83,
        detectable_gain=0.146,
        guards=(
            Guard(
                name="overall",
                kind="superiority",
                margin=0.0,
                p_value=3e-11,
                passed=True,
                note="better: gain +50.6 points, one-sided p 3e-11 at level 0.03",
            ),
            Guard(
                name="channel=phone",
                kind="checked",
                margin=0.05,
                p_value=0.91,
                passed=True,
                note="channel=phone changed by +38.0 points on 21 rows, no loss seen",
            ),
            Guard(
                name="intent=appeal",
                kind="checked",
                margin=0.05,
                p_value=0.64,
                passed=True,
                note="intent=appeal changed by +14.3 points on 7 rows, no loss seen",
            ),
        ),
    )


def data_summary() -> DataSummary:
    return DataSummary(
        roles={"train": 452, "dev_a": 110, "dev_b": 112, "vault_1": 83, "vault_2": 80, "audit": 56},
        labels={
            "payment status": 263,
            "weekly certification": 141,
            "sign in": 118,
            "change of address": 104,
            "documents missing": 97,
            "appeal": 71,
            "eligibility, complex": 58,
            "interstate claim": 41,
        },
        slices={"channel=web": 571, "channel=phone": 248, "channel=post": 74},
        sources={"claims.jsonl": 902},
        rejected={"no-answer": 6, "too-long": 3},
        num_groups=861,
        num_duplicates=2,
        num_near_duplicates=7,
        secrets={"email": 3, "phone": 5},
    )


def sample_report(**changes: object) -> RoundReport:
    overall = replace(part("all rows", 65, 4, 15, 26), verdict="better")
    fields: dict[str, object] = {
        "project": "Claims desk",
        "round": 2,
        "decision": "PROMOTE",
        "reason": "Promoted: better: gain +52.4 points, one-sided p 2e-15 at level 0.03; no guard objects.",
        "metric": "accuracy",
        "base": "builtin:english-10m",
        "champion": "claims-r1",
        "challenger": "claims-r2",
        "before": overall.before,
        "after": overall.after,
        "gain": overall.gain,
        "comparison": Comparison(
            metric="accuracy",
            before_model="claims-r1",
            after_model="claims-r2",
            overall=overall,
            slices=judged(),
            differences=(),
            examples=(),
            groups=(),
            flips=FLIPS,
            smallest_gain_shown=0.132,
        ),
        "baselines": (
            Baseline(name="untuned", score=rate(13, 110)),
            Baseline(name="untuned, 3 examples", score=rate(18, 110), shots=3),
        ),
        "trials": (
            trial("lr x0.5", 1.1e-3, 0.92, 0.7, 78),
            trial("lr x1", 2.2e-3, 0.61, 1.1, 84),
            trial("lr x2", 4.4e-3, 0.66, 1.6, 82),
        ),
        "chosen": "lr x1",
        "diagnosis": diagnosis(),
        "measures": measures(),
        "handoffs": handoffs(),
        "guessing_loss": 4.16,
        "search": (search(),),
        "verdict": verdict(),
        "costs": (
            StageCost(stage="data", cost=Cost(seconds=1.2), was_cached=True),
            StageCost(stage="baseline", cost=Cost(seconds=14.6, tokens=48210)),
            StageCost(stage="train", cost=Cost(seconds=71.9, tokens=212400, joules=1900.0)),
            StageCost(stage="evaluate", cost=Cost(seconds=9.8, tokens=31100)),
            StageCost(stage="gate", cost=Cost(seconds=6.1, tokens=20400)),
        ),
        "data": data_summary(),
        "warnings": ("Five of the 11 parts have fewer than 10 rows; their intervals are wide.",),
        "settings": (
            SettingReason(name="train.lr", value="0.0022", reason="auto: hidden size 256, times the best of 0.5, 1, 2"),
            SettingReason(name="train.precision", value="float32", reason="auto: 1.4 times faster than bfloat16 here"),
        ),
        "history": (
            PastRound(round=1, decision="PROMOTE", before=rate(13, 110), after=rate(19, 110)),
            PastRound(round=2, decision="PROMOTE", before=overall.before, after=overall.after),
            PastRound(round=3, decision="INCONCLUSIVE", before=rate(80, 110), after=rate(82, 110)),
        ),
        "next_commands": (
            NextCommand(command="burnish round --project claims", why="Another round on the rows it still gets wrong."),
            NextCommand(command="burnish power --project claims", why="How many labels would prove which gain."),
        ),
        "versions": {"burnish": "0.1.0", "torch": "2.13.0", "python": "3.11.9"},
        "first_prompt": (
            Piece(text="<|im_start|>user\nWhere is my money?<|im_end|>\n<|im_start|>assistant\n", learned=False),
            Piece(text="payment status<|im_end|>", learned=True),
        ),
        "created_at": "2026-11-23T22:30:00Z",
    }
    return RoundReport(**(fields | changes))


def sample_version() -> ModelVersion:
    return ModelVersion(
        name="claims-r2",
        round=2,
        adapter_hash="c" * 64,
        artifact="artifacts/train/0123456789ab",
        base="builtin:english-10m",
        base_hash="b" * 64,
        template_hash="d" * 64,
        parents=("claims-r1",),
        data={"claims.jsonl": "e" * 64},
        settings_hash="f" * 64,
        decision="PROMOTE",
        created_at="2026-11-23T22:30:00Z",
    )
