"""The statistics of burnish: intervals, paired tests, many tests at once, posteriors and planning, on numpy and scipy.

Rows come from independent groups (a document, a customer); rows of one group may be alike. Scores lie in [0, 1] and
paired differences (after - before, on identical rows) in [-1, 1]. Shares and gains are 0-1, never points.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

Floats = NDArray[np.float64]

EXACT_ROWS = 400
"""Up to this many binary rows a loss is tested exactly (a second of work, once); the score test beyond errs up to 1.09
times its level at 600 rows, by enumeration at margins of 2, 5 and 10 points."""
FEW_GROUPS = 12
"""Up to this many groups sign-flips are enumerated, 4096 of them, instead of drawn."""
RARE_GROUPS = 10
"""With fewer groups than this off the most common value, likeness cannot be measured and is taken as complete."""


class Estimate(NamedTuple):
    """A value with its interval over n rows; low and high are None where n cannot support an interval."""

    value: float | None
    low: float | None
    high: float | None
    n: int


class GroupTest(NamedTuple):
    """A mean with its group-robust standard error and the t-test of `mean > null`; p-values are None below 2 groups."""

    mean: float
    se: float
    df: int
    p_greater: float | None
    p_two_sided: float | None


class Belief(NamedTuple):
    """A posterior for a gain, summarised by its mean and standard deviation."""

    mean: float
    sd: float


class PlanRow(NamedTuple):
    """What a set of n rows can prove, and how many rows would prove gains of 5, 10 and 15 points."""

    name: str
    n: int
    smallest_gain: float
    """May exceed 1.0: then n rows can prove nothing at all."""
    rows_for_5: int
    rows_for_10: int
    rows_for_15: int


# One rate -------------------------------------------------------------------------------------------------------------


def wilson(successes: float, n: float, alpha: float = 0.05, *, df: int | None = None) -> Estimate:
    """Score interval of a share of independent rows (Wilson 1927): near-nominal on average down to n of about 10.

    It dips below nominal for single shares near 0 or 1; use `clopper_pearson` where the bound must hold always.
    With `df` the t quantile replaces the normal one (few groups; Franco, Little, Louis and Slud 2019).
    """
    if n <= 0:
        return Estimate(None, None, None, 0)
    z = float(stats.t.isf(alpha / 2, df)) if df else float(stats.norm.isf(alpha / 2))
    share = successes / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if successes <= 0 else max(0.0, middle - half)
    high = 1.0 if successes >= n else min(1.0, middle + half)
    return Estimate(share, low, high, math.ceil(n))


def clopper_pearson(successes: int, n: int, alpha: float = 0.05) -> Estimate:
    """Exact interval of a share of independent rows (Clopper and Pearson 1934): covers at least 1 - alpha, always."""
    if n <= 0:
        return Estimate(None, None, None, 0)
    low = float(stats.beta.ppf(alpha / 2, successes, n - successes + 1)) if successes else 0.0
    high = float(stats.beta.isf(alpha / 2, successes + 1, n - successes)) if successes < n else 1.0
    return Estimate(successes / n, low, high, n)


def mean_interval(values: Sequence[float], groups: Sequence[str] | None = None, alpha: float = 0.05) -> Estimate:
    """Interval of a mean score in [0, 1]; `groups` names the group of each row, None makes each row its own.

    Scores of 0 and 1: Wilson, with groups at the effective number of rows n / design effect (Franco et al. 2019), since
    a normal interval is too short for small n (Bowyer et al. 2025, arXiv 2503.01747). Other scores: group-robust t
    (Miller 2024, arXiv 2411.00640). Equal scores: Wilson again, as no score in [0, 1] varies more than a coin.
    """
    scores = np.asarray(values, dtype=float)
    if not len(scores):
        return Estimate(None, None, None, 0)
    test = cluster_t(scores, groups)
    mean, n = float(scores.mean()), len(scores)
    if test.p_greater is None and n > 1:
        return Estimate(mean, None, None, n)
    if _is_binary(scores) or test.se == 0.0:
        effective = n / design_effect(scores, groups)
        bounds = wilson(mean * effective, effective, alpha, df=None if _is_flat(groups) else test.df)
        return Estimate(mean, bounds.low, bounds.high, n)
    half = float(stats.t.isf(alpha / 2, test.df)) * test.se
    return Estimate(mean, max(0.0, mean - half), min(1.0, mean + half), n)


# Pairs ----------------------------------------------------------------------------------------------------------------


def paired_interval(differences: Sequence[float], groups: Sequence[str] | None = None, alpha: float = 0.05) -> Estimate:
    """Interval of the mean paired difference of scores, each difference in [-1, 1].

    Differences of -1, 0 and 1: Tango's score interval (Tango 1998), with groups at the effective number of rows. By
    exact enumeration of ungrouped rows, 10 to 200 of them, over 1640 truths each, its nominal 95% is 95.0 to 96.5% on
    average and 92.7% at worst. Others: group-robust t, or Tango on the sums of gains and losses when all differences
    are equal, where it is too wide rather than too short.
    """
    d = np.asarray(differences, dtype=float)
    if not len(d):
        return Estimate(None, None, None, 0)
    test = cluster_t(d, groups)
    mean, n = float(d.mean()), len(d)
    if test.p_greater is None and n > 1:
        return Estimate(mean, None, None, n)
    if _is_binary(d) or test.se == 0.0:
        wins, losses, rows = _effective_counts(d, groups)
        z = float(stats.norm.isf(alpha / 2) if _is_flat(groups) else stats.t.isf(alpha / 2, test.df))
        return Estimate(mean, *_tango_bounds(wins, losses, rows, z), n)
    half = float(stats.t.isf(alpha / 2, test.df)) * test.se
    return Estimate(mean, max(-1.0, mean - half), min(1.0, mean + half), n)


def paired_p(
    differences: Sequence[float], groups: Sequence[str] | None = None, *, two_sided: bool = False, seed: int = 0
) -> float | None:
    """p-value of "the mean difference is above 0" (or, two-sided, is not 0); None without rows or with one group only.

    Ungrouped differences of -1, 0, 1: McNemar mid-p. Otherwise the larger of group-robust t and sign-flip, and below
    20 groups the sign-flip alone, which is exact when differences are symmetric under the null.
    """
    d = np.asarray(differences, dtype=float)
    if not len(d):
        return None
    if _is_binary(d) and _is_flat(groups):
        return mcnemar_midp(int((d > 0).sum()), int((d < 0).sum()), two_sided=two_sided)
    test = cluster_t(d, groups)
    by_t = test.p_two_sided if two_sided else test.p_greater
    if by_t is None:
        return None
    by_flip = sign_flip(d, groups, seed=seed, two_sided=two_sided)
    return by_flip if test.df + 1 < 20 else max(by_t, by_flip)


def superiority_p(differences: Sequence[float], groups: Sequence[str] | None = None) -> float | None:
    """One-sided p-value of "the mean difference is above 0" that a bound may rest on; None as in `paired_p`.

    Ungrouped differences of -1, 0, 1: the exact unconditional test up to 400 rows (Hsueh, Liu and Chen 2001, at margin
    0), which has the power of mid-p within 1 point and never passes its level but for the grid of its loss rates;
    beyond that the exact conditional McNemar test. Grouped or other differences: `paired_p`, approximate.
    """
    d = np.asarray(differences, dtype=float)
    if not len(d) or not (_is_binary(d) and _is_flat(groups)):
        return paired_p(differences, groups)
    wins, losses = int((d > 0).sum()), int((d < 0).sum())
    if len(d) <= EXACT_ROWS:
        return float(_exact_table(len(d), 0.0)[wins, losses])
    return float(stats.binom.sf(wins - 1, wins + losses, 0.5))


def mcnemar_midp(wins: int, losses: int, *, two_sided: bool = False) -> float:
    """Mid-p McNemar test of independent pairs: one-sided for wins > losses, or two-sided.

    One-sided P(X > wins) + P(X = wins) / 2 for X ~ Bin(wins + losses, 1/2) (Fagerland, Lydersen and Laake 2013). For
    reading, not for promises: enumerated over 20 to 400 rows it errs up to 1.34 times its level (4.0% at 3%, 40 rows),
    so the gate uses `superiority_p`.
    """
    pairs = wins + losses
    if two_sided:
        few = min(wins, losses)
        return min(1.0, float(2 * stats.binom.cdf(few, pairs, 0.5) - stats.binom.pmf(few, pairs, 0.5)))
    return float(stats.binom.sf(wins, pairs, 0.5) + 0.5 * stats.binom.pmf(wins, pairs, 0.5))


def cluster_t(values: Sequence[float] | Floats, groups: Sequence[str] | None = None, null: float = 0.0) -> GroupTest:
    """t-test of a mean above `null` with group-robust variance, df = groups - 1 (Miller 2024, arXiv 2411.00640).

    SE^2 = sum_g (n_g (mean_g - mean))^2 / n^2 * G / (G - 1). Assumes independent groups and many of them (about 20); a
    plain t on 80 groups of 5 alike rows errs 14% of the time at 5%.
    """
    x = np.asarray(values, dtype=float)
    mean = float(x.mean())
    residuals = _group_sums(x - mean, groups)
    count = len(residuals)
    if count < 2:
        return GroupTest(mean, 0.0, 0, None, None)
    se = math.sqrt(float((residuals**2).sum()) * count / (count - 1)) / len(x)
    if se < 1e-12:
        above = 0.5 if abs(mean - null) < 1e-12 else float(mean < null)
        return GroupTest(mean, 0.0, count - 1, above, float(above == 0.5))
    t = (mean - null) / se
    return GroupTest(mean, se, count - 1, float(stats.t.sf(t, count - 1)), float(2 * stats.t.sf(abs(t), count - 1)))


def sign_flip(
    differences: Sequence[float] | Floats,
    groups: Sequence[str] | None = None,
    flips: int = 5000,
    seed: int = 0,
    *,
    two_sided: bool = False,
) -> float:
    """p-value of a mean above 0 (or not 0) by flipping the sign of whole groups (Fisher 1935, on group sums).

    Exact for any number of groups if each group's sum is symmetric about 0 under the null; enumerated up to 12 groups.
    """
    sums = _group_sums(np.asarray(differences, dtype=float), groups)
    if len(sums) <= FEW_GROUPS:
        bits = np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums)) & 1
        drawn = (1.0 - 2.0 * bits) @ sums
        extra = 0
    else:
        signs = np.random.default_rng(seed).integers(0, 2, size=(flips, len(sums)), dtype=np.int8)
        drawn = (1.0 - 2.0 * signs) @ sums
        extra = 1
    seen = float(sums.sum())
    hits = np.abs(drawn) >= abs(seen) - 1e-9 if two_sided else drawn >= seen - 1e-9
    return float((hits.sum() + extra) / (len(drawn) + extra))


def noninferiority_p(differences: Sequence[float], margin: float, groups: Sequence[str] | None = None) -> float | None:
    """p-value against "the mean difference is -margin or lower"; small: the loss is proven to be below the margin.

    Ungrouped differences of -1, 0, 1: exact unconditional test up to 400 rows (Hsueh, Liu and Chen 2001), Tango's score
    test beyond. Grouped: the larger of that at the effective number of rows, losses rounded up, and group-robust t on
    d + margin, since t alone calls twenty rows without a loss a certainty. None without rows or with one group only.
    """
    d = np.asarray(differences, dtype=float)
    if not len(d):
        return None
    if _is_binary(d) and _is_flat(groups):
        return _no_loss_p(float((d > 0).sum()), float((d < 0).sum()), len(d), margin)
    test = cluster_t(d, groups, null=-margin)
    if test.p_greater is None:
        return None
    if not _is_binary(d) and test.se > 0.0:
        return test.p_greater
    return max(test.p_greater, _no_loss_p(*_effective_counts(d, groups), margin))


def design_effect(values: Sequence[float] | Floats, groups: Sequence[str] | None = None) -> float:
    """How many rows weigh as much as one independent row, at least 1 (Kish 1965).

    Group-robust over plain variance; with fewer than 10 groups off the most common value at least the figure of
    complete likeness, sum n_g^2 / n, because a likeness that rare cannot be measured.
    """
    if _is_flat(groups):
        return 1.0
    x = np.asarray(values, dtype=float)
    _, sizes = np.unique(np.asarray(groups), return_counts=True)
    complete = float((sizes**2).sum() / len(x))
    plain = float(x.var(ddof=1) / len(x)) if len(x) > 1 else 0.0
    measured = cluster_t(x, groups).se ** 2 / plain if plain > 0 else 1.0
    kinds, counts = np.unique(x, return_counts=True)
    off = _group_sums((x != kinds[counts.argmax()]).astype(float), groups)
    floor = complete if (off > 0).sum() < RARE_GROUPS else 1.0
    return max(1.0, measured, floor)


# Many at once ---------------------------------------------------------------------------------------------------------


def holm(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Holm-adjusted p-values (Holm 1979), in the given order, valid under any dependence; None stays None."""
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    running = 0.0
    for rank, (p, place) in enumerate(known):
        running = max(running, min(1.0, (len(known) - rank) * p))
        adjusted[place] = running
    return tuple(adjusted)


def shrink(successes: Sequence[float], totals: Sequence[int]) -> tuple[float, ...]:
    """Shares of slices pulled toward their mean by empirical Bayes: (x_s + m k) / (n_s + k), for reading and planning.

    Beta-binomial with prior mean m = overall share and weight k by marginal likelihood on a grid of 0.5 to 5000 rows.
    Assumes slices that are exchangeable; a slice unlike all others is pulled too far.
    """
    x, n = np.asarray(successes, dtype=float), np.asarray(totals, dtype=float)
    assert len(x) == len(n), f"{len(x)} counts of successes but {len(n)} totals"
    assert n.sum() > 0, "no rows to shrink toward"
    mean = min(max(float(x.sum() / n.sum()), 1e-6), 1 - 1e-6)
    weights = np.geomspace(0.5, 5000, 60)
    a, b = mean * weights[:, None], (1 - mean) * weights[:, None]
    evidence = (special.betaln(x + a, n - x + b) - special.betaln(a, b)).sum(axis=1)
    k = float(weights[evidence.argmax()])
    return tuple(float(value) for value in (x + mean * k) / (n + k))


def shrink_gains(beliefs: Sequence[Belief]) -> tuple[Belief, ...]:
    """Beliefs about the gains of slices pulled toward their common mean by what their spread does not explain.

    Normal-normal empirical Bayes with the moment estimate of the spread between slices (DerSimonian and Laird 1986).
    Overlapping slices are treated as independent, which pulls a little too much.
    """
    if len(beliefs) < 3:
        return tuple(beliefs)
    mean = np.array([belief.mean for belief in beliefs])
    weight = 1.0 / np.maximum([belief.sd for belief in beliefs], 1e-6) ** 2
    centre = float((weight * mean).sum() / weight.sum())
    excess = float((weight * (mean - centre) ** 2).sum()) - (len(mean) - 1)
    spread = max(1e-6, excess / float(weight.sum() - (weight**2).sum() / weight.sum()))
    precision = weight + 1.0 / spread
    shrunk = (weight * mean + centre / spread) / precision
    return tuple(Belief(float(m), float(p**-0.5)) for m, p in zip(shrunk, precision, strict=True))


# Posteriors -----------------------------------------------------------------------------------------------------------


def belief_of_gain(differences: Sequence[float], groups: Sequence[str] | None = None) -> Belief:
    """Posterior mean and sd of the mean difference, Dirichlet(1/2) on the four cells of the paired table, closed form.

    For differences in [-1, 1] other than -1, 0, 1 it is too wide. With groups, at the effective number of rows.
    """
    wins, losses, rows = _effective_counts(np.asarray(differences, dtype=float), groups)
    gained, lost = (wins + 0.5) / (rows + 2), (losses + 0.5) / (rows + 2)
    mean = gained - lost
    return Belief(mean, math.sqrt((gained + lost - mean**2) / (rows + 3)))


def posterior_gain(
    differences: Sequence[float],
    threshold: float = 0.0,
    groups: Sequence[str] | None = None,
    *,
    draws: int = 20_000,
    seed: int = 0,
) -> float:
    """P(mean difference > threshold) by seeded draws from Dirichlet(1/2) on the four cells of the paired table.

    The prior weighs two rows, so it is usable at any n (Bowyer et al. 2025, arXiv 2503.01747). Differences other than
    -1, 0, 1 use Student's t around the group-robust mean instead. With groups, at the effective number of rows.
    """
    d = np.asarray(differences, dtype=float)
    if not len(d):
        return 0.5
    test = cluster_t(d, groups)
    if not _is_binary(d) and test.se > 0:
        return float(stats.t.sf((threshold - test.mean) / test.se, test.df))
    wins, losses, rows = _effective_counts(d, groups)
    cells = np.random.default_rng(seed).dirichlet([wins + 0.5, losses + 0.5, max(rows - wins - losses, 0) + 1.0], draws)
    return float((cells[:, 0] - cells[:, 1] > threshold).mean())


# Planning -------------------------------------------------------------------------------------------------------------


def rows_needed(gain: float, discordance: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """Rows that prove a true `gain` with this power, one-sided McNemar at alpha (Connor 1987), rounded up.

    `discordance` is the share of rows that change score, for other scores the mean squared difference; it is raised to
    the gain where it is smaller. Assumes independent rows.
    """
    assert 0 < gain <= 1, f"a gain of {gain} cannot be planned for"
    spread = max(discordance, gain)
    z_alpha, z_power = float(stats.norm.isf(alpha)), float(stats.norm.ppf(power))
    return math.ceil(((z_alpha * math.sqrt(spread) + z_power * math.sqrt(spread - gain**2)) / gain) ** 2 - 1e-9)


def rows_needed_no_loss(margin: float, discordance: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """Rows that prove, at a true difference of 0, a loss below `margin`: (z_a + z_b)^2 discordance / margin^2."""
    assert 0 < margin <= 1, f"a margin of {margin} cannot be planned for"
    quantiles = float(stats.norm.isf(alpha)) + float(stats.norm.ppf(power))
    return math.ceil(quantiles**2 * discordance / margin**2 - 1e-9)


def detectable_gain(n: int, discordance: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """Smallest true gain that n independent rows prove with this power; infinite where not even 1.0 would be proven."""
    if n < 1 or rows_needed(1.0, discordance, alpha, power) > n:
        return math.inf
    low, high = 1e-4, 1.0
    while high - low > 1e-5:
        middle = (low + high) / 2
        low, high = (low, middle) if rows_needed(middle, discordance, alpha, power) <= n else (middle, high)
    return high


def power_of(n: int, gain: float, discordance: float, alpha: float = 0.05) -> float:
    """Exact power of the one-sided mid-p McNemar test at n independent rows, by enumerating the discordant pairs."""
    spread = max(discordance, gain)
    won = (spread + gain) / 2
    total = 0.0
    for pairs in range(n + 1):
        weight = float(stats.binom.pmf(pairs, n, spread))
        if weight < 1e-12:
            continue
        wins = np.arange(pairs + 1)
        midp = stats.binom.sf(wins, pairs, 0.5) + 0.5 * stats.binom.pmf(wins, pairs, 0.5)
        total += weight * float(stats.binom.pmf(wins, pairs, won / spread)[midp < alpha].sum())
    return total


def plan(counts: Mapping[str, int], discordance: float, alpha: float = 0.05, power: float = 0.8) -> tuple[PlanRow, ...]:
    """What each named set (a vault, a slice of it) can prove, in the given order; gains at or above it, 0-1."""
    wanted = [rows_needed(gain, discordance, alpha, power) for gain in (0.05, 0.10, 0.15)]
    return tuple(PlanRow(name, n, detectable_gain(n, discordance, alpha, power), *wanted) for name, n in counts.items())


def plan_sentence(n: int, smallest_gain: float) -> str:
    """The plan of one vault in words: "With 60 vault rows this gate can only prove gains above 17 points."."""
    if smallest_gain > 1.0:
        return f"With {n} vault rows this gate can prove no gain at all; it needs more rows."
    only = "" if smallest_gain <= 0.05 else "only "
    return f"With {n} vault rows this gate can {only}prove gains above {100 * smallest_gain:.0f} points."


# Inside ---------------------------------------------------------------------------------------------------------------


def _is_flat(groups: Sequence[str] | None) -> bool:
    return groups is None or len(set(groups)) == len(groups)


def _is_binary(values: Floats) -> bool:
    return bool(np.isin(values, (-1.0, 0.0, 1.0)).all())


def _group_sums(values: Floats, groups: Sequence[str] | None) -> Floats:
    if groups is None:
        return values
    assert len(groups) == len(values), f"{len(values)} values but {len(groups)} groups"
    _, place = np.unique(np.asarray(groups), return_inverse=True)
    return np.asarray(np.bincount(place, weights=values), dtype=float)


def _effective_counts(d: Floats, groups: Sequence[str] | None) -> tuple[float, float, float]:
    effect = design_effect(d, groups)
    return float(d[d > 0].sum()) / effect, float(-d[d < 0].sum()) / effect, len(d) / effect


def _tango_z(wins: float | Floats, losses: float | Floats, n: float, gain: float) -> Floats:
    """Score statistic of "the true gain is `gain`", with the restricted maximum-likelihood loss rate (Tango 1998)."""
    wins, losses = np.asarray(wins, dtype=float), np.asarray(losses, dtype=float)
    b = -wins - losses + (2 * n - wins + losses) * gain
    lost = (np.sqrt(np.maximum(b * b + 8 * n * losses * gain * (1 - gain), 0.0)) - b) / (4 * n)
    variance = n * (2 * lost + gain * (1 - gain))
    shift = wins - losses - n * gain
    with np.errstate(divide="ignore", invalid="ignore"):
        z = shift / np.sqrt(np.maximum(variance, 0.0))
    return np.asarray(np.where(np.abs(shift) < 1e-12, 0.0, np.where(variance > 1e-12, z, np.copysign(np.inf, shift))))


def _tango_bounds(wins: float, losses: float, n: float, z: float) -> tuple[float, float]:
    seen, edge = (wins - losses) / n, 1 - 1e-9
    low = high = seen
    if seen > -edge:
        low = _root(lambda gain: float(_tango_z(wins, losses, n, gain)) - z, -edge, seen)
    if seen < edge:
        high = _root(lambda gain: float(_tango_z(wins, losses, n, gain)) + z, seen, edge)
    return low, high


def _root(function: object, low: float, high: float) -> float:
    return float(optimize.bisect(function, low, high, xtol=1e-9))


def _no_loss_p(wins: float, losses: float, n: float, margin: float) -> float:
    if n > EXACT_ROWS:
        return float(stats.norm.sf(_tango_z(wins, losses, n, -margin)))
    rows = math.floor(n + 1e-9)
    lost = min(rows, math.ceil(losses - 1e-9))
    return float(_exact_table(rows, margin)[min(rows - lost, math.floor(wins + 1e-9)), lost])


@lru_cache(maxsize=16)
def _exact_table(n: int, margin: float) -> Floats:
    """Exact p-value by [wins, losses]: the largest chance, over the loss rates at the margin, of a score as high."""
    wins, losses = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    kept = wins + losses <= n
    b, c = wins[kept].astype(float), losses[kept].astype(float)
    z = _tango_z(b, c, n, -margin)
    order = np.argsort(-z, kind="stable")
    ways = special.gammaln(n + 1) - special.gammaln(b + 1) - special.gammaln(c + 1) - special.gammaln(n - b - c + 1)
    worst = np.zeros(len(b))
    for won in np.linspace(0.0, (1 - margin) / 2, 129):
        lost, tied = won + margin, 1 - 2 * won - margin
        chance = np.exp(
            ways + special.xlogy(b, won) + special.xlogy(c, lost) + special.xlogy(n - b - c, max(tied, 0.0))
        )
        worst = np.maximum(worst, np.cumsum(chance[order]))
    scores = z[order]
    last_of_tie = np.searchsorted(-scores, -scores + 1e-9, side="right") - 1
    table = np.ones((n + 1, n + 1))
    values = np.empty(len(b))
    values[order] = np.minimum(worst[last_of_tie], 1.0)
    table[kept] = values
    table.setflags(write=False)
    return table
