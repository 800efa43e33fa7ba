"""A stand-in for vLLM's HTTP server: its endpoints, fields and error objects as in version 0.32, over a real model.

What it is not asked by burnish it refuses, where vLLM would ignore it. Logits come from one whole pass for each token,
without a cache, so they share no code with the engines that are tested. A file of faults makes it misbehave:
die (the process ends in the middle of an answer), hang, fail (500), hold (a stream stops on its way), wrong (it
loads another adapter than the one it is told), old (it knows no log-probabilities by token ids).
"""

import argparse
import asyncio
import json
import os
import sys
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

import torch
import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from burnish.errors import ModelError
from burnish.model.adapter import load_adapter
from burnish.model.base import Base, load_base
from burnish.model.forward import forward_hidden, logits_of, output_head
from burnish.model.lora import AdapterSpec, attach

ROOT = "/base"
HELD_AT = 5
"""Number of the token after which a stream is held, or the process ends: some text has come by then."""
KNOWN = {
    *("model", "prompt", "max_tokens", "cache_salt", "temperature", "top_p", "min_p", "top_k", "repetition_penalty"),
    *("presence_penalty", "frequency_penalty", "n", "logprobs", "return_token_ids", "return_tokens_as_token_ids"),
    *("stop_token_ids", "ignore_eos", "skip_special_tokens", "seed", "allowed_token_ids", "stream"),
    *("logprob_token_ids", "prompt_logprobs"),
}
"""Fields of a completion that burnish sends."""


class Fault(Exception):
    """What vLLM answers in an error object."""

    def __init__(self, status: int, kind: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": status}}


@dataclass
class StandIn:
    """One model with its adapters."""

    base: Base
    key: str
    faults: Path
    name: str = "base"
    most: int = 1024
    """Adapters that may be loaded."""
    loaded: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Folder and slot of each adapter, by its name."""
    history: list[tuple[str, str]] = field(default_factory=list)
    """What was loaded and unloaded."""
    salts: dict[str, set[str]] = field(default_factory=dict)
    """The salts with which each model was asked."""
    num_aborted: int = 0
    num_written: int = 0

    def __post_init__(self) -> None:
        """An empty bank."""
        self.bank = attach(self.base.model, [AdapterSpec(name="empty", rank=1, alpha=1.0, seed=0)])
        self.lock = threading.Lock()

    @property
    def fault(self) -> str:
        """How it misbehaves now."""
        return self.faults.read_text() if self.faults.exists() else ""

    def load(self, body: Mapping[str, Any]) -> str:
        """Loads an adapter from its folder."""
        name, place = body["lora_name"], body["lora_path"]
        if name in self.loaded:
            raise Fault(
                400,
                "InvalidUserInput",
                f"The lora adapter '{name}' has already been loaded. If you want to load the adapter in place, set "
                "'load_inplace' to True.",
            )
        try:
            spec, state = load_adapter(Path(place), self.base)
        except (ModelError, OSError):
            raise Fault(404, "NotFoundError", f"Loading lora {name} failed: No adapter found for {place}") from None
        assert len(self.loaded) < self.most, sorted(self.loaded)
        slot = self.bank.num_slots
        wrong = -1.0 if self.fault == "wrong" else 1.0
        self.bank.put(slot, spec, {key: wrong * part if ".lora_A." in key else part for key, part in state.items()})
        self.loaded[name] = (place, slot)
        self.history.append(("load", name))
        return f"Success: LoRA adapter '{name}' added successfully."

    def unload(self, body: Mapping[str, Any]) -> str:
        """Lets one go."""
        name = body["lora_name"]
        if name not in self.loaded:
            raise Fault(404, "NotFoundError", f"The lora adapter '{name}' cannot be found.")
        del self.loaded[name]
        self.history.append(("unload", name))
        return f"Success: LoRA adapter '{name}' removed successfully."

    def check(self, body: Mapping[str, Any]) -> None:
        """What vLLM would refuse."""
        if unknown := set(body) - KNOWN:
            raise Fault(400, "BadRequestError", f"burnish sent {sorted(unknown)}, which was never checked with vLLM")
        if body["model"] != self.name and body["model"] not in self.loaded:
            raise Fault(404, "NotFoundError", f"The model `{body['model']}` does not exist.", "model")
        if body["logprobs"] > 20:
            raise Fault(400, "BadRequestError", "Requested sample logprobs greater than max allowed: 20", "logprobs")
        if len(body.get("logprob_token_ids", ())) > 128:
            raise Fault(400, "BadRequestError", "Too many logprob_token_ids. The max is 128.")
        if len(body["prompt"]) + body["max_tokens"] > self.base.max_tokens:
            raise Fault(400, "BadRequestError", "This model's maximum context length is exceeded.", "max_tokens")
        self.salts.setdefault(body["model"], set()).add(body["cache_salt"])

    @torch.inference_mode()
    def logprobs(self, model: str, tokens: Sequence[int]) -> torch.Tensor:
        """Of every token in every place, [T, V]."""
        slot = None if model == self.name else self.loaded[model][1]
        with self.lock, self.bank.use(slot):
            hidden = forward_hidden(self.base.model, torch.tensor([list(tokens)]))[0]
            return torch.log_softmax(logits_of(output_head(self.base.model), hidden).float(), -1)

    def next(
        self, body: Mapping[str, Any], tokens: Sequence[int], drawn: torch.Generator
    ) -> tuple[int, dict[str, Any]]:
        """The next token, and its log-probability with those that were asked for."""
        last = self.logprobs(body["model"], tokens)[-1]
        free = last.clone()
        if "allowed_token_ids" in body:
            free[:] = -torch.inf
            free[body["allowed_token_ids"]] = last[body["allowed_token_ids"]]
        token = int(free.argmax())
        if body["temperature"]:
            token = int(torch.multinomial(torch.softmax(free / body["temperature"], -1), 1, generator=drawn))
        top = [token, *last.topk(body["logprobs"]).indices.tolist()] if body["logprobs"] else [token]
        if "logprob_token_ids" in body and self.fault != "old":
            top = [token, *body["logprob_token_ids"]]
        told = {f"token_id:{one}": float(last[one]) for one in top}
        self.num_written += 1
        return token, {"tokens": [f"token_id:{token}"], "token_logprobs": [float(last[token])], "top_logprobs": [told]}

    async def written(self, body: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """The choices of a stream, token by token."""
        tokens, drawn = list(body["prompt"]), torch.Generator().manual_seed(body.get("seed", 0))
        for count in range(body["max_tokens"]):
            token, told = await asyncio.to_thread(self.next, body, tokens, drawn)
            tokens.append(token)
            is_ended = token in body["stop_token_ids"]
            reason = "stop" if is_ended else "length" if count + 1 == body["max_tokens"] else None
            text = self.base.tokenizer.decode([token])
            yield {"index": 0, "text": text, "logprobs": told, "token_ids": [token], "finish_reason": reason}
            if reason:
                return
            if count == HELD_AT and self.fault == "die":
                os._exit(1)
            while count == HELD_AT and self.fault in ("hold", "hang"):
                await asyncio.sleep(0.01)

    def scored(self, body: Mapping[str, Any]) -> list[dict[str, Any] | None]:
        """How likely each token of the prompt is behind those before it; the first has none."""
        prompt = body["prompt"]
        every = self.logprobs(body["model"], prompt)
        return [None, *({str(t): {"logprob": float(every[at, t])}} for at, t in enumerate(prompt[1:]))]


def app_of(standin: StandIn) -> FastAPI:
    """Its routes."""
    app = FastAPI()
    app.add_exception_handler(Fault, lambda request, error: JSONResponse(error.body, error.status))  # type: ignore

    @app.middleware("http")
    async def guard(request: Request, go_on: Any) -> Response:
        while standin.fault == "hang":
            await asyncio.sleep(0.01)
        is_open = not request.url.path.startswith("/v1") or not standin.key
        if not is_open and request.headers.get("authorization") != f"Bearer {standin.key}":
            return JSONResponse({"error": "Unauthorized"}, 401)
        if standin.fault == "fail" and request.url.path == "/v1/completions":
            return JSONResponse(Fault(500, "InternalServerError", "EngineCore encountered an issue.").body, 500)
        answer: Response = await go_on(request)
        return answer

    @app.get("/health")
    async def health() -> Response:
        return Response()

    @app.get("/version")
    async def version() -> dict[str, str]:
        return {"version": "0.32.0"}

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        base = {"id": standin.name, "object": "model", "root": ROOT, "parent": None}
        more = [
            {"id": name, "object": "model", "root": place, "parent": standin.name}
            for name, (place, _) in standin.loaded.items()
        ]
        return {"object": "list", "data": [base, *more]}

    @app.post("/v1/load_lora_adapter")
    async def load(request: Request) -> Response:
        return Response(await asyncio.to_thread(standin.load, await request.json()))

    @app.post("/v1/unload_lora_adapter")
    async def unload(request: Request) -> Response:
        return Response(standin.unload(await request.json()))

    @app.post("/v1/completions")
    async def complete(request: Request) -> Response:
        body = await request.json()
        standin.check(body)
        if body.get("stream"):
            return StreamingResponse(_events(standin, body), media_type="text/event-stream")
        choices = [choice async for choice in standin.written(body)]
        if body.get("prompt_logprobs") is not None:
            choices[-1]["prompt_logprobs"] = await asyncio.to_thread(standin.scored, body)
        return JSONResponse({"object": "text_completion", "model": body["model"], "choices": choices[-1:]})

    return app


async def _events(standin: StandIn, body: Mapping[str, Any]) -> AsyncIterator[str]:
    is_whole = False
    try:
        async for choice in standin.written(body):
            piece = {"object": "text_completion", "model": body["model"], "choices": [choice]}
            yield f"data: {json.dumps(piece)}\n\n"
        yield "data: [DONE]\n\n"
        is_whole = True
    finally:
        standin.num_aborted += not is_whole


def main() -> None:
    """`vllm serve`, as far as burnish calls it."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("verb", choices=["serve"])
    parser.add_argument("folder")
    for name in ("uds", "served-model-name", "dtype", "generation-config", "faults"):
        parser.add_argument(f"--{name}")
    for name in ("max-lora-rank", "max-loras", "max-cpu-loras", "max-num-seqs", "max-logprobs"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--enable-lora", action="store_true")
    parser.add_argument("--disable-uvicorn-access-log", action="store_true")
    words = parser.parse_args()
    assert os.environ["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True"
    assert words.enable_lora
    assert words.max_lora_rank in (1, 8, 16, 32, 64, 128, 256, 320, 512)
    assert not [name for name in os.environ if name.startswith("BURNISH_")]
    base = load_base(words.folder, precision=words.dtype, device="cpu")
    standin = StandIn(base, os.environ["VLLM_API_KEY"], Path(words.faults), words.served_model_name)
    uvicorn.run(app_of(standin), uds=words.uds, log_level="warning")


if __name__ == "__main__":
    main()
