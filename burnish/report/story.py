"""What was done in a round and why, as a handful of sentences that need no statistics to follow."""

from burnish.report import words
from burnish.report.diagnosed import weak_sentence
from burnish.report.record import RoundReport


def story(report: RoundReport) -> tuple[str, ...]:
    """The steps of the round in their order, a sentence or two each."""
    steps = (
        _shared_out(report),
        _yardstick(report),
        weak_sentence(report),
        _trained(report),
        _compared(report),
        _judged(report),
    )
    return tuple(step for step in steps if step)


def counts(report: RoundReport) -> str:
    """Wins, losses and ties on identical rows, the p-value, and the smallest gain that so many rows can show."""
    if report.comparison is None:
        return ""
    seen, smallest = report.comparison.overall, report.comparison.smallest_gain_shown
    p = f" (two-sided p {words.p_value(seen.p_value)})" if seen.p_value is not None else ""
    limit = (
        "So few rows can show no gain at all."
        if smallest is None
        else f"So many rows can show gains from about {100 * smallest:.1f} points; smaller ones mostly go unseen."
    )
    return f"{seen.wins} won, {seen.losses} lost, {seen.ties} unchanged{p}. {limit}"


def learning(report: RoundReport) -> str:
    """Whether the chosen adapter learned anything, against guessing uniformly over the vocabulary."""
    chosen = next((trial for trial in report.trials if trial.candidate.name == report.chosen), None)
    if chosen is None or chosen.dev_loss is None:
        return ""
    guess = "" if report.guessing_loss is None else f", {report.guessing_loss:.2f} would be guessing"
    loss = f"held-out loss {chosen.dev_loss:.2f} nats per token{guess}"
    return f"It learned: {loss}." if chosen.learned else f"Training learned nothing: {loss}."


def _shared_out(report: RoundReport) -> str:
    roles = report.data.roles
    if not roles:
        return ""
    sealed = sum(rows for role, rows in roles.items() if role.startswith("vault_"))
    uses = {
        "to learn from": roles.get("train", 0),
        "to look at": roles.get("dev_a", 0),
        "to choose by": roles.get("dev_b", 0),
        "sealed for the gate": sealed,
        "kept for a last check": roles.get("audit", 0),
    }
    shares = ", ".join(f"{words.count(rows)} {use}" for use, rows in uses.items() if rows)
    return f"The {words.count(sum(roles.values()))} examples were shared out: {shares}."


def _yardstick(report: RoundReport) -> str:
    known = [baseline for baseline in report.baselines if baseline.score.value is not None]
    if not known:
        return ""
    scores = "; ".join(f"{baseline.name} {words.percent(baseline.score.value)}" for baseline in known)
    return f"What tuning has to beat was measured first, on the same rows: {scores}."


def _trained(report: RoundReport) -> str:
    if not report.trials:
        return ""
    rates = words.rates([trial.candidate for trial in report.trials])
    many = f"{len(report.trials)} adapters were" if len(report.trials) > 1 else "One adapter was"
    rate = "learning rates" if len(report.trials) > 1 else "a learning rate of"
    kept = next((trial for trial in report.trials if trial.candidate.name == report.chosen), None)
    score = kept.dev_score.value if kept is not None and kept.dev_score is not None else None
    why = f" {report.chosen} was kept: {words.percent(score)} on the rows to choose by." if score is not None else ""
    return f"{many} trained on {report.base}, at {rate} {rates}.{why} {learning(report)}".rstrip()


def _compared(report: RoundReport) -> str:
    if report.comparison is None:
        return ""
    return f"{report.champion} and {report.challenger} answered the same {report.gain.n} rows: {counts(report)}"


def _judged(report: RoundReport) -> str:
    verdict = report.verdict
    if verdict is None:
        return ""
    if not verdict.num_rows:
        return f"No sealed rows were opened. {verdict.reason}"
    provable = f"gains from {100 * verdict.detectable_gain:.0f} points" if verdict.detectable_gain < 1 else "no gain"
    asked = f"The gate tested on {words.count(verdict.num_rows)} sealed rows, attempt {verdict.attempt} of "
    answer = verdict.reason if verdict.guards else "It was not proven; details stay sealed until the vault retires."
    return f"{asked}{report.attempts}; so many rows can prove {provable}. {answer}"
