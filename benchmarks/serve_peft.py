"""The server that one writes in an afternoon with PEFT: what waits for one adapter is a batch, adapter after adapter.

python -m benchmarks.serve_peft '{"base": FOLDER, "adapters": {NAME: FOLDER}, "dtype": "bfloat16"}' PORT
"""

import asyncio
import json
import sys
from collections import deque

import torch
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

MOST = 64
waiting: deque = deque()


def load(spec: dict):
    """The tokenizer and the model with every adapter."""
    tokenizer = AutoTokenizer.from_pretrained(spec["base"], padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(spec["base"], dtype=getattr(torch, spec["dtype"]))
    for name, folder in spec["adapters"].items():
        model = (
            model.load_adapter(folder, adapter_name=name) and model
            if isinstance(model, PeftModel)
            else PeftModel.from_pretrained(model, folder, adapter_name=name)
        )
    return tokenizer, model.eval()


@torch.inference_mode()
def answers(tokenizer, model, name: str, bodies: list[dict]) -> list[tuple[str, int]]:
    """Texts and numbers of tokens of one batch."""
    asked = [
        tokenizer.apply_chat_template(body["messages"], add_generation_prompt=True, tokenize=False) for body in bodies
    ]
    inputs = tokenizer(asked, return_tensors="pt", padding=True, add_special_tokens=False)
    inputs.pop("token_type_ids", None)
    most = max(body["max_tokens"] for body in bodies)
    if name == "base":
        with model.disable_adapter():
            found = model.generate(**inputs, max_new_tokens=most, do_sample=False, pad_token_id=tokenizer.pad_token_id)
    else:
        model.set_adapter(name)
        found = model.generate(**inputs, max_new_tokens=most, do_sample=False, pad_token_id=tokenizer.pad_token_id)
    new = found[:, inputs["input_ids"].shape[1] :]
    texts = tokenizer.batch_decode(new, skip_special_tokens=True)
    return list(zip(texts, (new != tokenizer.pad_token_id).sum(1).tolist(), strict=True))


async def work(tokenizer, model) -> None:
    """Takes what waits for the adapter of who came first, up to MOST, and answers it."""
    while True:
        if not waiting:
            await asyncio.sleep(0.001)
            continue
        name = waiting[0][0]["model"]
        batch = [one for one in waiting if one[0]["model"] == name][:MOST]
        for one in batch:
            waiting.remove(one)
        said = await asyncio.to_thread(answers, tokenizer, model, name, [body for body, _ in batch])
        for (_, future), answer in zip(batch, said, strict=True):
            future.set_result(answer)


def make_app(spec: dict) -> FastAPI:
    """The one address; the answer comes in one piece."""
    app = FastAPI()
    loaded = load(spec)
    tasks: list = []

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> StreamingResponse:
        if not tasks:
            tasks.append(asyncio.create_task(work(*loaded)))
        future = asyncio.get_running_loop().create_future()
        waiting.append((await request.json(), future))
        text, count = await future
        piece = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "length"}]}
        usage = {"choices": [], "usage": {"completion_tokens": count}}
        lines = "".join(f"data: {json.dumps(one)}\n\n" for one in (piece, usage)) + "data: [DONE]\n\n"
        return StreamingResponse(iter([lines]), media_type="text/event-stream")

    return app


if __name__ == "__main__":
    uvicorn.run(make_app(json.loads(sys.argv[1])), port=int(sys.argv[2]), log_level="warning")
