"""The one form in which every benchmark reports: what was timed, ratios against two forms of the peer, a line of JSON.

Ratios are of work per second, taken round by round (engines take turns, so a slow minute hits a whole round); the
middle and the range of the rounds are given. A peer that could not run stays in the line, with its reason.
"""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """What one engine did: the seconds of each round, and how much work a round was."""

    seconds: Sequence[float]
    work: float
    """Tokens, rows or whatever the benchmark counts, in one round."""
    peak_mb: float | None = None
    """Most memory of the process; None where engines share one."""
    cpu_seconds: Sequence[float] = ()
    """Of the process, all threads; on a machine that others use it tells more than the clock."""
    absent: str = ""
    """Why it did not run; then there are no seconds."""

    @property
    def speeds(self) -> list[float]:
        """Work per second, by round."""
        return [self.work / one for one in self.seconds]


def timed(runs: Sequence[Mapping[str, Any]], work: float) -> Timed:
    """The runs of one engine in processes of their own; a single failure makes the engine absent."""
    for run in runs:
        if "absent" in run:
            return Timed(seconds=(), work=work, absent=run["absent"])
    seconds, cpu_seconds, peaks = ([run[key] for run in runs] for key in ("seconds", "cpu_seconds", "peak_mb"))
    return Timed(seconds=seconds, work=work, peak_mb=max(peaks), cpu_seconds=cpu_seconds)


def ratios(ours: Timed, peer: Timed | None) -> list[float] | None:
    """How many times the peer's speed ours is: the middle over rounds, the lowest, the highest; None without a peer."""
    if peer is None or peer.absent or ours.absent:
        return None
    if len(ours.seconds) != len(peer.seconds):
        one = statistics.median(ours.speeds) / statistics.median(peer.speeds)
        return [one, min(ours.speeds) / max(peer.speeds), max(ours.speeds) / min(peer.speeds)]
    each = [mine / theirs for mine, theirs in zip(ours.speeds, peer.speeds, strict=True)]
    return [statistics.median(each), min(each), max(each)]


def by_cpu(ours: Timed, peer: Timed | None) -> float | None:
    """The ratio of work per second of processor time, by medians; None where it was not measured."""
    if peer is None or not peer.cpu_seconds or not ours.cpu_seconds:
        return None
    spent = [statistics.median(engine.cpu_seconds) / engine.work for engine in (peer, ours)]
    return spent[0] / spent[1]


def line(
    name: str,
    engines: Mapping[str, Timed],
    *,
    unit: str,
    default: str | None = None,
    tuned: str | None = None,
    limit_share: float | None = None,
    checks: Sequence[str] = (),
    **more: Any,
) -> dict[str, Any]:
    """The findings as plain JSON; the first engine is ours. `more` is what only this benchmark has to say."""
    ours = next(iter(engines.values()))
    peers = {"default": engines.get(default or ""), "tuned": engines.get(tuned or "")}
    against = {form: ratios(ours, peer) for form, peer in peers.items()}
    ran = {key: engine for key, engine in engines.items() if not engine.absent}
    return {
        "name": name,
        **{f"ratio_{form}": found[0] if found else None for form, found in against.items()},
        **{f"ratio_{form}_range": found[1:] if found else None for form, found in against.items()},
        **{f"ratio_{form}_cpu": by_cpu(ours, peer) for form, peer in peers.items()},
        "limit_share": limit_share,
        "medians_s": {key: statistics.median(engine.seconds) for key, engine in ran.items()},
        "range_s": {key: [min(engine.seconds), max(engine.seconds)] for key, engine in ran.items()},
        "cpu_medians_s": {key: statistics.median(one.cpu_seconds) for key, one in ran.items() if one.cpu_seconds},
        "rounds": len(ours.seconds),
        f"{unit}_per_s": {key: statistics.median(engine.speeds) for key, engine in ran.items()},
        "peak_mb": {key: engine.peak_mb for key, engine in ran.items() if engine.peak_mb is not None},
        "absent": {key: engine.absent for key, engine in engines.items() if engine.absent},
        "default": default,
        "tuned": tuned,
        "unit": unit,
        "checks": list(checks),
        **more,
    }


def shown(found: Mapping[str, Any]) -> str:
    """A line as Markdown to read: the checks, a table of engines, the ratios."""
    unit = found["unit"]
    rows = [f"check: {check}" for check in found["checks"]] + [""]
    rows += [f"| engine | {unit}/s | seconds | range | peak MB |", "|---|--:|--:|--:|--:|"]
    for key, seconds in found["medians_s"].items():
        low, high = found["range_s"][key]
        peak = found["peak_mb"].get(key)
        cells = [key, _number(found[f"{unit}_per_s"][key]), f"{seconds:.3g}", f"{low:.3g}-{high:.3g}"]
        rows.append(f"| {' | '.join([*cells, '' if peak is None else f'{peak:,.0f}'])} |")
    rows += [f"| {key} | absent: {why} | | | |" for key, why in found["absent"].items()] + [""]
    for form in ("default",) if found["default"] == found["tuned"] else ("default", "tuned"):
        if found[f"ratio_{form}"] is not None:
            low, high = found[f"ratio_{form}_range"]
            cpu = found[f"ratio_{form}_cpu"]
            told = "" if cpu is None else f", by processor time {cpu:.2f}"
            rows.append(f"{found[f'ratio_{form}']:.2f} ({low:.2f}-{high:.2f}) times the speed of {found[form]}{told}")
    if found["limit_share"] is not None:
        rows.append(f"products counted take {found['limit_share']:.0%} of the machine's matrix rate")
    return "\n".join(rows)


def tell(found: Mapping[str, Any], *, as_json: bool, text: str | None = None) -> None:
    """Prints the findings: one line of JSON, or words."""
    print(json.dumps(found) if as_json else text if text is not None else shown(found), flush=True)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
