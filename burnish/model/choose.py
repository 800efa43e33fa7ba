"""The best of given choices for each prompt: an exact search over the trie of their tokens.

Shapes: B rows, Q trie nodes run at once per row, N of them over all rows, C cache columns, V vocabulary.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from burnish.errors import DataError
from burnish.model.base import Base
from burnish.model.session import LEAVE_SHARE, Session, batches, check_lengths
from burnish.talk import Advance, unheard

NEAR_NATS = 2.0
MOST_NODES = 4
"""A step runs the nodes of a row that are within NEAR_NATS of its best open node, at most this many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The best of the given choices."""

    index: int
    logprob: float
    """Summed over the choice's tokens and the end of the turn, in nats."""
    margin: float | None
    """Lead over the second best in nats; None where the second best was never scored to its end."""


def choose(
    base: Base, prompts: Sequence[Sequence[int]], choices: Sequence[Sequence[int]], *, advance: Advance = unheard
) -> list[Chosen]:
    """The choice with the highest summed log-probability for each prompt, the end-of-turn token included; exact.

    Choices are tokens as `Chat.answer_tokens` gives them; one that lacks the end token gets it. Log-probabilities only
    fall along a path of the trie, so a node below the best complete choice cannot win and is never run (best-first
    search). Costs a few tokens per prompt for a sure model, more for an unsure one. Equal choices: the first one wins.
    """
    check_lengths(base, prompts)
    trie = _Trie(choices, base.chat.end_ids, torch.device(base.device))
    chosen: list[Chosen | None] = [None] * len(prompts)
    with torch.inference_mode():
        for batch in batches(prompts):
            for index, row in zip(batch, _choose_batch(base, [prompts[i] for i in batch], trie), strict=True):
                chosen[index] = row.answer()
            advance(len(batch), "")
    return [best for best in chosen if best is not None]


class _Trie:
    """Choices as a tree of tokens; node 0 is the prompt's last token. Nodes are numbers, places in the lists."""

    def __init__(self, choices: Sequence[Sequence[int]], end_ids: Sequence[int], device: torch.device) -> None:
        if not choices or not all(choices):
            raise DataError("there is nothing to choose from", hint="Give a label task at least one label, none empty.")
        self.token, self.depth, self.parent = [-1], [0], [-1]
        self.choice = [-1]
        """Which choice ends at a node; -1: none."""
        self.children: list[list[int]] = [[]]
        known: dict[tuple[int, int], int] = {}
        for choice, tokens in enumerate(choices):
            node = 0
            for token in tokens if tokens[-1] in end_ids else [*tokens, end_ids[0]]:
                if (node, token) not in known:
                    known[node, token] = self._add(node, token)
                node = known[node, token]
            if self.choice[node] == -1:
                self.choice[node] = choice
        self.child_tokens = [
            torch.tensor([self.token[child] for child in children], dtype=torch.long, device=device)
            for children in self.children
        ]

    def _add(self, parent: int, token: int) -> int:
        node = len(self.token)
        self.token.append(token)
        self.depth.append(self.depth[parent] + 1)
        self.parent.append(parent)
        self.choice.append(-1)
        self.children.append([])
        self.children[parent].append(node)
        return node

    def line(self, node: int) -> list[int]:
        """The node and those above it, without the prompt."""
        line = []
        while node:
            line.append(node)
            node = self.parent[node]
        return line


class _Row:
    """The search for one prompt: open nodes by falling log-probability, and the best complete choices so far."""

    def __init__(self, trie: _Trie, prompt_length: int) -> None:
        self.trie, self.prompt_length = trie, prompt_length
        self.open: list[tuple[float, int]] = []
        self.column: dict[int, int] = {}
        """Cache column of each node that was run."""
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

    def next_nodes(self) -> list[tuple[float, int]]:
        """The open nodes to run next with their sums; none when the best choice is proven."""
        nodes: list[tuple[float, int]] = []
        while self.open and len(nodes) < MOST_NODES:
            total = -self.open[0][0]
            if total <= self.best[0] or (nodes and total < nodes[0][0] - NEAR_NATS):
                break
            nodes.append((total, heapq.heappop(self.open)[1]))
        return nodes

    def put_back(self, nodes: Sequence[tuple[float, int]]) -> None:
        """Opens nodes again that were not run after all."""
        for total, node in nodes:
            heapq.heappush(self.open, (-total, node))

    def answer(self) -> Chosen:
        """The best choice. The margin is known when no node that was not run could end above the second best."""
        open_best = max(self.dropped, -self.open[0][0] if self.open else -torch.inf)
        known = self.second > -torch.inf and self.second >= open_best
        return Chosen(index=self.best[1], logprob=self.best[0], margin=self.best[0] - self.second if known else None)


def _choose_batch(base: Base, prompts: Sequence[Sequence[int]], trie: _Trie) -> list[_Row]:
    session = Session(base, prompts)
    done = [_Row(trie, len(prompt)) for prompt in prompts]
    _score(session, session.hidden_BD, [(row, 0, 0.0) for row in done])
    rows = done
    while True:
        nodes = [row.next_nodes() for row in rows]
        open_rows = [place for place, found in enumerate(nodes) if found]
        if not open_rows:
            return done
        if len(open_rows) <= LEAVE_SHARE * len(rows):
            session.keep(open_rows)
            rows, nodes = [rows[place] for place in open_rows], [nodes[place] for place in open_rows]
        width = max(1, round(sum(map(len, nodes)) / len(open_rows)))  # the widest row would pad all others
        for row, found in zip(rows, nodes, strict=True):
            row.put_back(found[width:])
        _run(session, rows, [found[:width] for found in nodes])


def _run(session: Session, rows: Sequence[_Row], nodes: Sequence[Sequence[tuple[float, int]]]) -> None:
    """One step: runs the given nodes of every row at once, each seeing its prompt and the nodes above it."""
    device, trie = session.columns_BC.device, rows[0].trie
    before, width = session.num_columns, max(map(len, nodes))
    tokens = [[0] * width for _ in rows]
    positions = [[-1] * width for _ in rows]
    seen: list[tuple[int, int, int]] = []
    run: list[tuple[_Row, int, float]] = []
    places: list[tuple[int, int]] = []
    for b, (row, found) in enumerate(zip(rows, nodes, strict=True)):
        for q, (total, node) in enumerate(found):
            tokens[b][q], positions[b][q] = trie.token[node], row.prompt_length + trie.depth[node] - 1
            row.column[node] = before + q
            seen += [(b, q, row.column[above]) for above in trie.line(node)]
            run.append((row, node, total))
            places.append((b, q))
    in_prompt_BC = (session.columns_BC >= 0) & (session.columns_BC < _lengths(rows, device)[:, None])
    visible_BQC = torch.zeros(len(rows), width, before + width, dtype=torch.bool, device=device)
    visible_BQC[..., :before] = in_prompt_BC[:, None]
    visible_BQC[tuple(torch.tensor(seen, device=device).T)] = True
    hidden_BQD = session.extend(
        torch.tensor(tokens, device=device), torch.tensor(positions, device=device), visible_BQC
    )
    _score(session, hidden_BQD[tuple(torch.tensor(places, device=device).T)], run)


def _lengths(rows: Sequence[_Row], device: torch.device) -> Tensor:
    return torch.tensor([row.prompt_length for row in rows], device=device)


def _score(session: Session, hidden_ND: Tensor, run: Sequence[tuple[_Row, int, float]]) -> None:
    """Log-probabilities of the children of each node that was run."""
    logits_NV = session.logits(hidden_ND)
    total_N = logits_NV.logsumexp(-1)
    trie = run[0][0].trie
    counts = [len(trie.children[node]) for _, node, _ in run]
    at = torch.repeat_interleave(torch.tensor(counts, device=logits_NV.device))
    tokens = torch.cat([trie.child_tokens[node] for _, node, _ in run])
    scores = iter((logits_NV[at, tokens] - total_N[at]).tolist())
    for (row, node, total), count in zip(run, counts, strict=True):
        row.reach(node, total, [next(scores) for _ in range(count)])
