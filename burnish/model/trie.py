"""Given choices as a tree of tokens."""

from collections.abc import Sequence

import torch

from burnish.errors import DataError


class Trie:
    """Choices as a tree of tokens; node 0 is the prompt's last token. Nodes are numbers, places in the lists."""

    def __init__(self, choices: Sequence[Sequence[int]], end_ids: Sequence[int], device: torch.device | str) -> None:
        if not choices or not all(choices):
            raise DataError("there is nothing to choose from", hint="Give a label task at least one label, none empty.")
        self.token, self.depth, self.parent = [-1], [0], [-1]
        self.choice = [-1]
        """Which choice ends at a node; -1: none."""
        self.children: list[list[int]] = [[]]
        self._lines: dict[int, tuple[int, ...]] = {0: ()}
        self.ends: list[int] = []
        """The node where each choice ends."""
        known: dict[tuple[int, int], int] = {}
        for choice, tokens in enumerate(choices):
            node = 0
            for token in tokens if tokens[-1] in end_ids else [*tokens, end_ids[0]]:
                if (node, token) not in known:
                    known[node, token] = self._add(node, token)
                node = known[node, token]
            self.ends.append(node)
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

    def line(self, node: int) -> tuple[int, ...]:
        """The nodes from the first behind the prompt down to this one."""
        if node not in self._lines:
            self._lines[node] = (*self.line(self.parent[node]), node)
        return self._lines[node]
