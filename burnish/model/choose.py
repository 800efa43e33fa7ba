"""How likely given choices are after each prompt: the best by an exact search over their trie, or all of them.

Shapes: N trie nodes run at once over all rows, D hidden size, V vocabulary.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from burnish.model.base import Base
from burnish.model.cache import bytes_per_token
from burnish.model.generator import CACHE_BYTES, PROMPT_TOKENS
from burnish.model.lora import LoraBank
from burnish.model.prefixes import Prefixes, Wanted
from burnish.model.session import Node, Session, check_lengths
from burnish.model.trie import Trie
from burnish.talk import Advance, unheard

MOST_ROWS = 128

NEAR_NATS = 2.0
MOST_NODES = 4
"""A step runs the nodes of a row that are within NEAR_NATS of its best open node, at most this many."""

FEW_NODES = 32
FEW_NATS = 8.0
"""Where rows are so few that a step costs its fixed part and little more, each row runs its share of this many nodes,
and looks this far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The best of the given choices."""

    index: int
    logprob: float
    """Summed over the choice's tokens and the end of the turn, in nats."""
    margin: float | None
    """Lead over the second best in nats; None where the second best was never scored to its end."""


def choose(
    base: Base,
    prompts: Sequence[Sequence[int]],
    choices: Sequence[Sequence[int]],
    *,
    bank: LoraBank | None = None,
    slots: Sequence[int] | None = None,
    advance: Advance = unheard,
) -> list[Chosen]:
    """The choice with the highest summed log-probability for each prompt, the end-of-turn token included; exact.

    Choices are tokens as `Chat.answer_tokens` gives them; one that lacks the end token gets it. Log-probabilities only
    fall along a path of the trie, so a node below the best complete choice cannot win and is never run (best-first
    search). Costs a few tokens per prompt for a sure model, more for an unsure one. Equal choices: the first one wins.
    With a bank each prompt is asked of its own slot, -1 the base; without one, of whatever is in use around the call.
    """
    chosen: list[Chosen | None] = [None] * len(prompts)
    trie = Trie(choices, base.chat.end_ids, torch.device(base.device))
    for done in _finished(base, prompts, trie, lambda index: Search(trie, index), bank, slots):
        for row in done:
            chosen[row.index] = row.answer()
        advance(len(done), "")
    return [best for best in chosen if best is not None]


def score(
    base: Base, prompts: Sequence[Sequence[int]], choices: Sequence[Sequence[int]], *, advance: Advance = unheard
) -> list[list[float]]:
    """The summed log-probability of every choice for each prompt, the end-of-turn token included, in nats; exact.

    Choices as for `choose`. A prompt runs once, and so does every distinct beginning of the choices behind it.
    """
    scores: list[list[float]] = [[] for _ in prompts]
    trie = Trie(choices, base.chat.end_ids, torch.device(base.device))
    for done in _finished(base, prompts, trie, lambda index: _Survey(trie, index)):
        for row in done:
            scores[row.index] = [row.total[node] for node in trie.ends]
        advance(len(done), "")
    return scores


class Reached(NamedTuple):
    """A node to run, with the summed log-probability of the way to it."""

    total: float
    node: int


class Search:
    """The search for one prompt: open nodes by falling log-probability, and the best complete choices so far."""

    def __init__(self, trie: Trie, index: int) -> None:
        self.trie, self.index = trie, index
        self.open: list[tuple[float, int]] = []
        self.best, self.second = (-torch.inf, -1), -torch.inf
        self.dropped = -torch.inf
        """The likeliest node that was left out because it could not win."""

    def reach(self, node: int, logprob: float, child_logprobs: list[float]) -> None:
        """Takes the scores of a node's children; `logprob` is the node's own sum."""
        for child, step in zip(self.trie.children[node], child_logprobs, strict=True):
            total, choice = logprob + step, self.trie.choice[child]
            if choice == -1:
                if total > self.best[0]:
                    heapq.heappush(self.open, (-total, child))
                else:
                    self.dropped = max(self.dropped, total)
            elif (total, -choice) > (self.best[0], -self.best[1]):
                self.best, self.second = (total, choice), self.best[0]
            else:
                self.second = max(self.second, total)

    def next_nodes(self, rows: int = MOST_ROWS) -> list[Reached]:
        """The open nodes to run next with their sums, of one of so many rows; none when the best choice is proven."""
        nodes: list[Reached] = []
        most, near = FEW_NODES // rows, FEW_NATS
        if most <= MOST_NODES:
            most, near = MOST_NODES, NEAR_NATS
        while self.open and len(nodes) < most:
            total = -self.open[0][0]
            if total <= self.best[0] or (nodes and total < nodes[0].total - near):
                break
            nodes.append(Reached(total, heapq.heappop(self.open)[1]))
        return nodes

    def put_back(self, nodes: Sequence[Reached]) -> None:
        """Opens nodes again that were not run after all."""
        for total, node in nodes:
            heapq.heappush(self.open, (-total, node))

    def answer(self) -> Chosen:
        """The best choice. The margin is known when no node that was not run could end above the second best."""
        open_best = max(self.dropped, -self.open[0][0] if self.open else -torch.inf)
        known = self.second > -torch.inf and self.second >= open_best
        return Chosen(index=self.best[1], logprob=self.best[0], margin=self.best[0] - self.second if known else None)


class _Survey:
    """All choices for one prompt, level by level of the trie."""

    def __init__(self, trie: Trie, index: int) -> None:
        self.trie, self.index = trie, index
        self.total = {0: 0.0}
        self.open: list[Reached] = []

    def reach(self, node: int, logprob: float, child_logprobs: list[float]) -> None:
        """Takes the scores of a node's children; `logprob` is the node's own sum."""
        for child, step in zip(self.trie.children[node], child_logprobs, strict=True):
            self.total[child] = logprob + step
            if self.trie.children[child]:
                self.open.append(Reached(logprob + step, child))

    def next_nodes(self, rows: int = MOST_ROWS) -> list[Reached]:
        """The nodes of the next level, however many rows there are; none when every choice is scored."""
        nodes, self.open = self.open, []
        return nodes

    def put_back(self, nodes: Sequence[Reached]) -> None:
        """Opens nodes again that were not run after all."""
        self.open = [*nodes, *self.open]


S = TypeVar("S", Search, _Survey)


class _Row(Generic[S]):
    """A prompt in the session: its search, and where the nodes that were run lie behind the prompt."""

    def __init__(self, search: S, columns: int) -> None:
        self.search: S = search
        self.columns = columns
        self.place: dict[int, int] = {}
        self.next: list[Reached] = []

    def node(self, node: int) -> Node:
        """The node as the session takes it; it gets the next place."""
        trie = self.search.trie
        self.place[node] = len(self.place)
        return Node(trie.token[node], trie.depth[node], [self.place[above] for above in trie.line(node)])


def _finished(
    base: Base,
    prompts: Sequence[Sequence[int]],
    trie: Trie,
    start: Callable[[int], S],
    bank: LoraBank | None = None,
    slots: Sequence[int] | None = None,
) -> Iterator[list[S]]:
    """Runs all searches, as many at a time as there is room for, and gives those that end together."""
    check_lengths(base, prompts)
    assert (bank is None) == (slots is None), "slots belong to a bank"
    of = [-1] * len(prompts) if slots is None else list(slots)
    session = Session(base, bank)
    most = max(1, CACHE_BYTES // bytes_per_token(base.model))
    prefixes = Prefixes(session, most // 4)
    lengths = _shared(prefixes, prompts, of)
    # longest first, so that a lack of memory shows at once
    waiting = deque(sorted(range(len(prompts)), key=lambda index: (lengths[index] - len(prompts[index]), index)))
    rows: list[_Row[S]] = []
    while waiting or rows:
        if rows:
            _run(session, rows)
        entering: list[int] = []
        longest = max((row.columns for row in rows), default=0)
        while waiting and len(rows) + len(entering) < MOST_ROWS:
            columns = len(prompts[waiting[0]]) - lengths[waiting[0]]
            longest = max(longest, columns)
            count = len(rows) + len(entering) + 1
            if count > 1 and (
                count * (longest + len(trie.token)) > most or (len(entering) + 1) * longest > PROMPT_TOKENS
            ):
                break
            entering.append(waiting.popleft())
        if entering:
            wanted = [Wanted(tuple(prompts[index]), lengths[index], of[index]) for index in entering]
            new = [_Row(start(index), len(prompts[index]) - lengths[index]) for index in entering]
            rows += new
            _score(session, session.enter(prefixes.entries(wanted)), [(row.search, Reached(0.0, 0)) for row in new])
        for row in rows:
            row.next = row.next or row.search.next_nodes(len(rows))
        done = [place for place, row in enumerate(rows) if not row.next]
        if done:
            yield [rows[place].search for place in done]
            rows = [rows[place] for place in session.leave(done)]


def _shared(prefixes: Prefixes, prompts: Sequence[Sequence[int]], slots: Sequence[int]) -> list[int]:
    """How many tokens of each prompt are worth sharing with others of its slot."""
    lengths = [0] * len(prompts)
    for slot in sorted(set(slots)):
        places = [place for place, its in enumerate(slots) if its == slot]
        for place, length in zip(places, prefixes.plan([tuple(prompts[at]) for at in places], slot), strict=True):
            lengths[place] = length
    return lengths


def _run(session: Session, rows: Sequence[_Row[S]]) -> None:
    """One pass over the next nodes of every row."""
    counts = [len(row.next) for row in rows]
    # where rows are padded, the widest one would cost all others
    width = round(sum(counts) / len(rows)) if session.pads else PROMPT_TOKENS // len(rows)
    now: list[tuple[S, Reached]] = []
    nodes: list[list[Node]] = []
    for row in rows:
        found, rest = row.next[: max(1, width)], row.next[max(1, width) :]
        row.search.put_back(rest)
        row.next = []
        nodes.append([row.node(reached.node) for reached in found])
        now += [(row.search, reached) for reached in found]
    _score(session, session.branch(nodes), now)


def _score(session: Session, hidden_ND: Tensor, run: Sequence[tuple[S, Reached]]) -> None:
    """Log-probabilities of the children of each node that was run."""
    block = session.logits_rows
    for start in range(0, len(run), block):
        some = run[start : start + block]
        logits_NV = session.logits(hidden_ND[start : start + block])
        total_N = logits_NV.logsumexp(-1)
        trie = some[0][0].trie
        counts = [len(trie.children[reached.node]) for _, reached in some]
        at = torch.repeat_interleave(torch.tensor(counts, device=logits_NV.device))
        tokens = torch.cat([trie.child_tokens[reached.node] for _, reached in some])
        scores = iter((logits_NV[at, tokens] - total_N[at]).tolist())
        for (search, reached), count in zip(some, counts, strict=True):
            search.reach(reached.node, reached.total, [next(scores) for _ in range(count)])
