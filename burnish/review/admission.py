"""Whether a judge may score in people's place: the alternative annotator test, per slice, and when to test it anew.

A judge is admitted for what it was shown to be good at, as the version that was tested. Another model, prompt or rubric
is another judge: its scores cannot be set beside those of before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from burnish.fingerprint import SHORT, fingerprint
from burnish.review.agreement import Rating, answers_of, by_item, cohen_kappa, krippendorff_alpha
from burnish.stats.pairs import noninferiority_p
from burnish.stats.rates import Estimate, clopper_pearson

FEWEST_REVIEWERS = 3
FEWEST_ITEMS = 30
"""Items a reviewer has to share with two others to be compared with the judge; 50 to 100 are better."""
EPSILON = 0.2
"""What the judge may lose to a person by, since it is cheaper: 0.2 for experts, 0.15 for skilled people, 0.1 for others
(Calderon et al. 2025)."""
FALSE_SHARE = 0.05
LEAST_OMEGA = 0.5
LEAST_AGREEMENT = 0.6
ANCHORS = 100
"""Latest items with an answer of both judge and person that a judge in use is watched by."""
FEWEST_ANCHORS = 30
WATCH_LEVEL = 0.01
EVERYWHERE = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """The judge against one reviewer, by whom the other reviewers agree with more."""

    reviewer: str
    num_items: int
    judge_wins: float
    """Share of items on which the judge agrees with the others at least as well as this reviewer."""
    reviewer_wins: float
    p_value: float
    """Of "the judge loses by epsilon or more"."""
    is_beaten: bool
    """After Benjamini and Yekutieli over all reviewers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceAdmission:
    """Whether a judge may score one slice, and what that rests on."""

    slice: str
    is_admitted: bool
    why: str
    """Why not, beginning with a stable word and a colon; empty for an admitted judge."""
    num_items: int
    omega: float | None
    """Share of reviewers whom the judge can replace; None where there are too few to tell."""
    advantage: float | None
    """Chance that the judge agrees with the others at least as well as a random reviewer does."""
    judge_kappa: Estimate
    """Cohen's, of the judge and each person, by item."""
    people_alpha: Estimate
    """Krippendorff's, between people: the ceiling."""
    agreement: Estimate
    """Share of people's answers that the judge gives too: what anchors are watched against."""
    rivals: tuple[Rival, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What one version of a judge may score."""

    version: str
    slices: Mapping[str, SliceAdmission]
    """By "column=value", and `all`."""


def judge_version(**parts: str) -> str:
    """Identity of a judge: the hash of everything that its verdicts depend on (model, prompt, rubric, decoding)."""
    return fingerprint(parts)


def admit(
    version: str,
    judge: Mapping[str, str],
    ratings: Sequence[Rating],
    slice_of: Mapping[str, Sequence[str]] | None = None,
    epsilon: float = EPSILON,
) -> Admission:
    """Tests a judge against people on all items, and on each slice by itself; `slice_of` names the slices of an item.

    Admitted where it passes the alternative annotator test (omega of 0.5 or more) and its kappa with people is 0.6 or
    more. Slices are not corrected for one another: a judge that is no good anywhere passes one of them now and then.
    `judge` and `ratings` should be blind: people who saw the judge's answer agree with it too much.
    """
    known = [rating for given in by_item(ratings).values() for rating in given if rating.item in judge]
    names = sorted({name for rating in known for name in (slice_of or {}).get(rating.item, ())})
    parts = {EVERYWHERE: known}
    for name in names:
        parts[name] = [rating for rating in known if name in (slice_of or {}).get(rating.item, ())]
    return Admission(
        version=version, slices={name: _admit_slice(name, judge, part, epsilon) for name, part in parts.items()}
    )


def _admit_slice(name: str, judge: Mapping[str, str], ratings: Sequence[Rating], epsilon: float) -> SliceAdmission:
    rivals = alternative_annotator_test(judge, ratings, epsilon)
    omega = sum(rival.is_beaten for rival in rivals) / len(rivals) if rivals else None
    pairs = [(judge[rating.item], rating.value) for rating in ratings]
    kappa = cohen_kappa(pairs, [rating.item for rating in ratings])
    why = ""
    if omega is None:
        why = f"few-people: {FEWEST_REVIEWERS} reviewers are needed who share {FEWEST_ITEMS} items with two others each"
    elif omega < LEAST_OMEGA:
        why = f"worse-than-people: it can replace {omega:.0%} of the reviewers; {LEAST_OMEGA:.0%} are needed"
    elif kappa.value is None or kappa.value < LEAST_AGREEMENT:
        told = "cannot be told" if kappa.value is None else f"is {kappa.value:.2f}"
        why = f"little-agreement: its kappa with people {told}; {LEAST_AGREEMENT} is needed"
    same = sum(one == other for one, other in pairs)
    return SliceAdmission(
        slice=name,
        is_admitted=not why,
        why=why,
        num_items=kappa.n,
        omega=omega,
        advantage=float(np.mean([rival.judge_wins for rival in rivals])) if rivals else None,
        judge_kappa=kappa,
        people_alpha=krippendorff_alpha(answers_of(ratings)),
        agreement=clopper_pearson(same, len(pairs)),
        rivals=rivals,
    )


# The alternative annotator test ---------------------------------------------------------------------------------------


def alternative_annotator_test(
    judge: Mapping[str, str], ratings: Sequence[Rating], epsilon: float = EPSILON
) -> tuple[Rival, ...]:
    """The judge against each reviewer in turn (Calderon, Reichart and Dror 2025, arXiv 2501.10970), by reviewer's name.

    On each item the others' answers are compared with the judge's and with the reviewer's: whoever is the same as more
    of them wins, and both do where equal. The judge beats a reviewer where "it wins less often by epsilon or more" is
    refuted, at a false discovery rate of 5% under any dependence (Benjamini and Yekutieli 2001). We differ from the
    paper in the test: the exact one of non-inferiority on pairs, not a t-test, which calls thirty ties a certainty.

    Empty where fewer than 3 reviewers share 30 items with two others each. Assumes independent items. Answers are
    labels: of a grade, a near miss is a miss.
    """
    said = {
        item: {rating.reviewer: rating.value for rating in given}
        for item, given in by_item(ratings).items()
        if item in judge
    }
    found = []
    for reviewer in sorted({rating.reviewer for rating in ratings}):
        wins = [
            _winners(judge[item], answers[reviewer], [value for other, value in answers.items() if other != reviewer])
            for item, answers in said.items()
            if reviewer in answers and len(answers) >= 3
        ]
        if len(wins) >= FEWEST_ITEMS:
            found.append((reviewer, np.array(wins, dtype=float)))
    if len(found) < FEWEST_REVIEWERS:
        return ()
    p_values = [noninferiority_p(list(wins[:, 0] - wins[:, 1]), epsilon) or 0.0 for _, wins in found]
    return tuple(
        Rival(
            reviewer=reviewer,
            num_items=len(wins),
            judge_wins=float(wins[:, 0].mean()),
            reviewer_wins=float(wins[:, 1].mean()),
            p_value=p_value,
            is_beaten=beaten,
        )
        for (reviewer, wins), p_value, beaten in zip(found, p_values, benjamini_yekutieli(p_values), strict=True)
    )


def _winners(judge: str, reviewer: str, others: Sequence[str]) -> tuple[bool, bool]:
    """Whether the judge, and whether the reviewer, is the same as at least as many of the others."""
    by_judge, by_reviewer = others.count(judge), others.count(reviewer)
    return by_judge >= by_reviewer, by_reviewer >= by_judge


def benjamini_yekutieli(p_values: Sequence[float], rate: float = FALSE_SHARE) -> tuple[bool, ...]:
    """Which hypotheses are refuted at a false discovery rate, whatever their dependence, in the given order.

    The largest k with p_(k) <= k rate / (m (1 + 1/2 + ... + 1/m)), and all below it (Benjamini and Yekutieli 2001).
    """
    m = len(p_values)
    harmonic = sum(1 / k for k in range(1, m + 1))
    passing = [p for k, p in enumerate(sorted(p_values), start=1) if p <= k * rate / (m * harmonic)]
    bound = max(passing, default=-1.0)
    return tuple(p <= bound for p in p_values)


# While it is in use ---------------------------------------------------------------------------------------------------


def objection(admission: Admission, anchors: Sequence[bool]) -> str:
    """Why a judge may not stand in for people, beginning with a stable word and a colon; empty: it may.

    `anchors` as in `retest_reason`: one that passed on all answers is held to its last hundred, too.
    """
    if not anchors:
        return "untested: nobody has judged an answer yet"
    return admission.slices[EVERYWHERE].why or retest_reason(admission, anchors)


def version_change(before: str, after: str) -> str:
    """Why two scores must not be compared, where their judges are not one; empty where they are."""
    if before == after:
        return ""
    return (
        f"changed-judge: the judge was {before[:SHORT]} and is {after[:SHORT]} now; scores of the one cannot be "
        "compared with scores of the other: score both sides anew, and test the judge against people"
    )


def retest_reason(admission: Admission, anchors: Sequence[bool]) -> str:
    """Why a judge in use has to be tested anew; empty where its agreement has not dropped.

    `anchors` tells, oldest first, on which items judge and person agreed since; the last 100 count. Fisher's exact
    test, one-sided at 1%, against the agreement of the admission. Ask at fixed points: the more often, the more false
    alarms, each of which costs one test of the judge. By simulation of 80 items by three people, 1.2% at one look and
    13% somewhere in 600 anchors with a look every 20.
    """
    tested = admission.slices[EVERYWHERE].agreement
    latest = list(anchors)[-ANCHORS:]
    if len(latest) < FEWEST_ANCHORS or tested.value is None:
        return ""
    then = round(tested.value * tested.n)
    table = [[sum(latest), len(latest) - sum(latest)], [then, tested.n - then]]
    p_value = float(stats.fisher_exact(table, alternative="less").pvalue)
    if p_value >= WATCH_LEVEL:
        return ""
    share = sum(latest) / len(latest)
    return (
        f"agreement-dropped: judge and people agree on {share:.0%} of the last {len(latest)} anchors, and agreed on "
        f"{tested.value:.0%} of {tested.n} answers when it was admitted (p = {p_value:.1g})"
    )
