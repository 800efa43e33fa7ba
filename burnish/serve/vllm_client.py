"""How vLLM is asked over HTTP: token ids go in, token ids with log-probabilities come out; adapters by their folder.

Nothing here leaves a choice to vLLM: texts are rendered and tokenised by burnish, and every setting that a server could
have a default for is sent. Written against vLLM 0.32.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

from burnish.model.sample import GREEDY, Picked, Sampling

BASE_NAME = "base"
"""What the base alone is called in a vLLM that burnish starts."""
MOST_NAMED = 128
"""Tokens whose log-probabilities one request can ask for by their ids."""
QUICK_S, LOAD_S, WRITE_S = 10.0, 300.0, 60.0
"""Seconds for a look whether it lives, for an adapter to be loaded, and for a request to be sent."""
FAILED = 500
MARK = "token_id:"
"""Before the number of a token where vLLM names it by its id."""


class Away(Exception):
    """vLLM cannot be reached, failed, or hung up before its answer was whole."""


class Unmet(Exception):
    """vLLM refuses what it was asked; `status` is its own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a vLLM listens."""

    url: str
    key: str
    """Its API key; empty: it wants none."""
    socket: Path | None = None
    """A socket of this machine in place of a port."""


class Step(NamedTuple):
    """A token that vLLM wrote."""

    token: int
    logprob: float
    """Among all tokens, at temperature 1."""
    top: tuple[Picked, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is to be written on."""

    model: str
    tokens: tuple[int, ...]
    """The prompt and what was written of the answer."""
    most: int
    """Tokens to write at most."""
    salt: str
    """Prompts share their beginnings with those of the same salt only."""
    sampling: Sampling = GREEDY
    top: int = 0
    end_ids: tuple[int, ...] = ()
    """Tokens after which nothing more is written; no others end it."""
    allowed: tuple[int, ...] = ()
    """The only tokens that may come; empty: any."""

    def body(self, **more: object) -> dict[str, Any]:
        """The body of /v1/completions."""
        drawn = self.sampling
        body = {"model": self.model, "prompt": list(self.tokens), "max_tokens": self.most, "cache_salt": self.salt}
        body |= {"temperature": drawn.temperature, "top_p": drawn.top_p, "min_p": drawn.min_p, "top_k": 0}
        body |= {"repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0, "n": 1}
        body |= {"logprobs": self.top, "return_token_ids": True, "return_tokens_as_token_ids": True}
        body |= {"stop_token_ids": list(self.end_ids), "ignore_eos": True, "skip_special_tokens": False}
        if drawn.temperature:
            body["seed"] = (drawn.seed + len(self.tokens)) % 2**63
        if self.allowed:
            body["allowed_token_ids"] = list(self.allowed)
        return body | more


class VllmClient:
    """Asks one vLLM; belongs to one event loop. Raises Away and Unmet."""

    def __init__(self, address: Address) -> None:
        headers = {"authorization": f"Bearer {address.key}"} if address.key else {}
        self._http = httpx2.AsyncClient(
            base_url=address.url,
            headers=headers,
            timeout=httpx2.Timeout(None, connect=QUICK_S, write=WRITE_S),
            transport=httpx2.AsyncHTTPTransport(
                uds=str(address.socket) if address.socket else None,
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=64),
            ),
            trust_env=False,
        )

    async def close(self) -> None:
        """Hangs up."""
        await self._http.aclose()

    async def is_healthy(self, timeout_s: float = QUICK_S) -> bool:
        """Whether it answers, and its engine lives."""
        try:
            return (await self._http.get("/health", timeout=timeout_s)).status_code == httpx2.codes.OK
        except httpx2.HTTPError:
            return False

    async def version(self) -> str:
        """vLLM's own version."""
        return str((await self._json("GET", "/version", None, QUICK_S))["version"])

    async def models(self) -> dict[str, str]:
        """The folder of every model, by its name."""
        found = await self._json("GET", "/v1/models", None, QUICK_S)
        return {str(one["id"]): str(one["root"]) for one in found["data"]}

    async def load(self, name: str, folder: Path) -> None:
        """Loads the adapter in a folder of this machine under a new name."""
        async with self._posted("/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(folder)}, LOAD_S):
            pass

    async def unload(self, name: str) -> None:
        """Lets an adapter go; one that is not there is gone already."""
        try:
            async with self._posted("/v1/unload_lora_adapter", {"lora_name": name}, LOAD_S):
                pass
        except Unmet as error:
            if error.status != httpx2.codes.NOT_FOUND:
                raise

    async def write(self, query: Query) -> AsyncGenerator[Step, None]:
        """The tokens as they come; whoever stops listening ends it there."""
        async with self._posted("/v1/completions", query.body(stream=True)) as response:
            async for line in response.aiter_lines():
                if line == "data: [DONE]":
                    return
                if line.startswith("data: "):
                    for step in _steps(json.loads(line.removeprefix("data: ")), query):
                        yield step
        raise Away("vLLM hung up before its answer was whole")

    async def next_logprobs(self, query: Query, wanted: Sequence[int]) -> list[float]:
        """How likely each of these tokens is to come next, in nats."""
        known: dict[int, float] = {}
        for start in range(0, len(wanted), MOST_NAMED):
            some = list(wanted[start : start + MOST_NAMED])
            body = query.body(max_tokens=1, logprobs=1, logprob_token_ids=some)
            choice = _only(await self._json("POST", "/v1/completions", body))
            known |= dict(_named(choice["logprobs"]["top_logprobs"][0]))
        if lost := [token for token in wanted if token not in known]:
            raise Unmet(
                FAILED, f"vLLM does not tell the log-probabilities of tokens by their ids ({len(lost)} are lacking)"
            )
        return [known[token] for token in wanted]

    async def answer_logprobs(self, query: Query, answer: Sequence[int]) -> list[float]:
        """How likely each token of a given answer is behind the prompt, in nats."""
        body = query.body(prompt=[*query.tokens, *answer], max_tokens=1, prompt_logprobs=0)
        told = _only(await self._json("POST", "/v1/completions", body))["prompt_logprobs"]
        places = zip(answer, told[len(query.tokens) :], strict=True)
        return [float(place[str(token)]["logprob"]) for token, place in places]

    async def _json(self, method: str, path: str, body: object, timeout_s: float | None = None) -> dict[str, Any]:
        try:
            answer = await self._http.request(method, path, json=body, timeout=timeout_s)
            _demand_met(answer.status_code, answer.content)
            found: dict[str, Any] = answer.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise Away(f"vLLM does not answer: {error!r}") from error
        return found

    @asynccontextmanager
    async def _posted(
        self, path: str, body: Mapping[str, object], timeout_s: float | None = None
    ) -> AsyncIterator[httpx2.Response]:
        try:
            async with self._http.stream("POST", path, json=body, timeout=timeout_s) as answer:
                if answer.status_code != httpx2.codes.OK:
                    _demand_met(answer.status_code, await answer.aread())
                yield answer
        except (httpx2.HTTPError, ValueError) as error:
            raise Away(f"vLLM does not answer: {error!r}") from error


def _demand_met(status: int, body: bytes) -> None:
    if status == httpx2.codes.OK:
        return
    try:
        error = json.loads(body)["error"]
        message = str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError):
        message = body[:200].decode("utf-8", "replace")
    if status >= FAILED:
        raise Away(message[:500])
    raise Unmet(status, message[:500])


def _steps(piece: Mapping[str, Any], query: Query) -> list[Step]:
    """The tokens of one piece of a stream: mostly one, more where vLLM was faster than its reader."""
    if "error" in piece:
        _demand_met(int(piece["error"].get("code") or FAILED), json.dumps(piece).encode())
    if not piece["choices"]:
        return []
    choice = _only(piece)
    if not choice["token_ids"]:
        return []
    told = choice["logprobs"]
    places = zip(choice["token_ids"], told["token_logprobs"], told["top_logprobs"], strict=True)
    return [Step(token, logprob, _likeliest(top, query.top)) for token, logprob, top in places]


def _only(answer: Mapping[str, Any]) -> dict[str, Any]:
    (choice,) = answer["choices"]
    found: dict[str, Any] = choice
    return found


def _named(top: Mapping[str, float]) -> list[Picked]:
    return [Picked(int(name.removeprefix(MARK)), logprob) for name, logprob in top.items()]


def _likeliest(top: Mapping[str, float], count: int) -> tuple[Picked, ...]:
    return tuple(sorted(_named(top), key=lambda one: -one.logprob)[:count])
