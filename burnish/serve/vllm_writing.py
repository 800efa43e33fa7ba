"""Answers as the engine of this process gives them, with vLLM doing the sums: the likeliest label, or a text.

vLLM writes freely, and every token is looked at here. Where one breaks the grammar it is asked for again among those
that may come, and vLLM goes on from there. So the grammar is the one that measured, log-probabilities are among all
tokens, and a model that was trained on the form pays nothing for it.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

from burnish.model.base import Base
from burnish.model.choose import Chosen, Reached, Search
from burnish.model.generator import Generated, Request, Text, begin_text
from burnish.model.trie import Trie
from burnish.serve.vllm_client import Away, Query, Step, VllmClient

Hear = Callable[[Step], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """One model of a vLLM, asked for a project."""

    client: VllmClient
    base: Base
    model: str
    """Its name in vLLM: the base, or an adapter."""
    salt: str

    async def write(self, request: Request, hear: Hear) -> Generated:
        """The answer to a request; `hear` is told of every token. Raises DataError where the prompt leaves no room."""
        text = begin_text(self.base, request)
        while text.done is None:
            if await self._strays(text, hear):
                await self._take_allowed(text, hear)
        return text.answer(self.base)

    async def choose(self, prompt: tuple[int, ...], trie: Trie) -> Chosen:
        """The likeliest label behind a prompt, by the search of `model.choose`; its nodes are scored by vLLM."""
        search = Search(trie, 0)
        nodes = [Reached(0.0, 0)]
        while nodes:
            scores = await asyncio.gather(*(self._children(prompt, trie, one.node) for one in nodes))
            for one, found in zip(nodes, scores, strict=True):
                search.reach(one.node, one.total, found)
            nodes = search.next_nodes()
        return search.answer()

    async def logprobs(self, prompt: tuple[int, ...], answer: tuple[int, ...]) -> list[float]:
        """How likely each token of an answer is, in nats."""
        return await self.client.answer_logprobs(self._query(prompt, 1), answer)

    async def _strays(self, text: Text, hear: Hear) -> bool:
        """Writes until it is done, or until a token comes that may not; True for that."""
        async with aclosing(self.client.write(self._continued(text, text.most_tokens - len(text.tokens)))) as steps:
            async for step in steps:
                allowed = text.walk.allowed() if text.walk else None
                if allowed is not None and not bool(allowed[step.token]):
                    return True
                self._take(text, step, hear)
                if text.done:
                    return False
        raise Away(f"vLLM ended after {len(text.tokens)} of {text.most_tokens} tokens, and nothing ends there")

    async def _take_allowed(self, text: Text, hear: Hear) -> None:
        """Takes the next token, of those that the grammar lets come."""
        allowed = text.walk.allowed() if text.walk else None
        assert allowed is not None, text.tokens
        tokens = tuple(allowed.nonzero().flatten().tolist())
        async with aclosing(self.client.write(self._continued(text, 1, tokens))) as steps:
            async for step in steps:
                return self._take(text, step, hear)
        raise Away("vLLM gave no token where one was asked for")

    def _take(self, text: Text, step: Step, hear: Hear) -> None:
        text.push(self.base, step.token, step.logprob)
        hear(step)

    def _continued(self, text: Text, most: int, allowed: tuple[int, ...] = ()) -> Query:
        request = text.request
        return replace(
            self._query((*request.prompt, *text.tokens), most),
            sampling=request.sampling,
            top=request.top_logprobs,
            end_ids=() if text.walk else text.end_ids,
            allowed=allowed,
        )

    def _query(self, tokens: tuple[int, ...], most: int) -> Query:
        return Query(model=self.model, tokens=tokens, most=most, salt=self.salt)

    async def _children(self, prompt: tuple[int, ...], trie: Trie, node: int) -> list[float]:
        way = tuple(trie.token[one] for one in trie.line(node))
        wanted = [trie.token[child] for child in trie.children[node]]
        return await self.client.next_logprobs(self._query((*prompt, *way), 1), wanted)
