"""The requests behind an alarm: which ones to read first, and what they have in common, named by their terms."""

from collections.abc import Sequence

import numpy as np

from burnish.diagnose.rows import text_of
from burnish.diagnose.words import content_terms, distinctive_terms
from burnish.evaluate.abstention import declines
from burnish.loop.normal import HELD_OUT, Normal
from burnish.loop.requests import Request
from burnish.loop.seeds import Seeds
from burnish.loop.traffic_slices import mark_of
from burnish.monitor.alarms import Cluster, Signal, Suggestion
from burnish.monitor.outsider import RARE
from burnish.monitor.window import Look
from burnish.stats.rates import clopper_pearson
from burnish.synthesize.cells import holds_term

MOST_ROWS = 50
MOST_CLUSTERS = 3
FEWEST = 3
"""Texts that make a cluster."""
MOST_TRAIN = 5_000
MOST_USUAL = 0.05
"""Share of the project's texts above which a term that they hold marks no slice."""


def usual_texts(seeds: Seeds) -> list[str]:
    """Texts of the project's rows: all of dev_a and dev_b, and of train at most 5,000, evenly spread."""
    held, train = [row for role in HELD_OUT for row in seeds.of(role)], seeds.of("train")
    every = -(-len(train) // MOST_TRAIN) or 1
    return [text_of(row) for row in (*held, *train[::every])]


def flagged(signal: Signal, normal: Normal, requests: Sequence[Request], look: Look) -> list[Request]:
    """The requests of a window that an alarm is about, strangest first, at most 50; none where it is about all."""
    order: Sequence[int] = []
    if signal == "outsiders":
        order = [int(at) for at in np.argsort(look.p_N, kind="stable") if look.p_N[at] <= RARE]
    elif signal == "input":
        order = [int(at) for at in np.argsort(-look.suspicion_N, kind="stable")[: len(requests) // 4]]
    elif signal == "refusals":
        order = [at for at, request in enumerate(requests) if request.answer and declines(request.answer)]
    elif signal == "unsupported":
        order = [at for at, request in enumerate(requests) if request.answer and normal.is_unsupported(request)]
    return [requests[at] for at in order[:MOST_ROWS]]


def clusters_of(found: Sequence[Request], requests: Sequence[Request], usual: Sequence[str]) -> tuple[Cluster, ...]:
    """Groups of these requests, each around the term that most sets those left apart from the rest of the traffic.

    `usual` are texts of the project's own rows. A request belongs to the first group whose term it holds; one without
    any such term belongs to none.
    """
    chosen = {request.seq for request in found}
    others = [content_terms(request.text) for request in requests if request.seq not in chosen]
    others += [content_terms(text) for text in usual]
    left = [(request, content_terms(request.text)) for request in found]
    groups: list[Cluster] = []
    while len(groups) < MOST_CLUSTERS and len(left) >= FEWEST:
        terms = [own for _, own in left] + others
        named = distinctive_terms(terms, np.arange(len(terms)) < len(left))
        inside = [(request, own) for request, own in left if named and named[0] in own]
        if len(inside) < FEWEST:
            break
        theirs = [own for _, own in inside] + others
        label = distinctive_terms(theirs, np.arange(len(theirs)) < len(inside)) or named[:1]
        suggests = suggestion(label, requests, usual)
        groups.append(Cluster(terms=label, rows=tuple(request.seq for request, _ in inside), suggests=suggests))
        left = [pair for pair in left if pair not in inside]
    return tuple(groups)


def suggestion(terms: Sequence[str], requests: Sequence[Request], usual: Sequence[str]) -> Suggestion | None:
    """The slice of texts that these terms of a cluster tell apart; None where usual texts hold every one of them."""
    now = [request.text for request in requests]
    rare = tuple(term for term in terms if _is_news(term, now, usual))
    inside = [text for text in now if holds_term(text, rare)]
    if len(inside) < FEWEST:
        return None
    return Suggestion(
        terms=rare,
        marks=tuple(sorted({mark_of(text) for text in inside})),
        share=len(inside) / len(now),
        num_usual=sum(holds_term(text, rare) for text in usual),
        of_usual=len(usual),
    )


def _is_news(term: str, now: Sequence[str], usual: Sequence[str]) -> bool:
    """Whether usual texts hardly hold a term, and these clearly more often: by 95% limits that do not meet."""
    before, here = (sum(holds_term(text, [term]) for text in texts) for texts in (usual, now))
    old, new = clopper_pearson(before, len(usual)), clopper_pearson(here, len(now))
    if old.high is None or new.low is None or before > MOST_USUAL * len(usual):
        return False
    return new.low > old.high
