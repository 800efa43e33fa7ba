"""A scripted judge on orders: it reads the question by its JSON, and judges well, by chance, by length or not at all."""

import json
import re
from random import Random

from tests.loopback import Act, Asked, say

ORDER = re.compile(r"[A-Z]-\d+")


def is_right(message: str, answer: str) -> bool:
    """What is true of an answer: it names the order of the message and no other."""
    return ORDER.findall(answer) == ORDER.findall(message)


class Arbiter:
    """`way` is one of agreeing, random, verbose and broken; `model` is the name that it answers under."""

    def __init__(self, way: str = "agreeing", model: str = "judge-1", *, right: float = 0.95) -> None:
        self.way, self.model, self.right = way, model, right

    def __call__(self, number: int, body: Asked) -> Act:
        data = json.loads(body["messages"][1]["content"])
        answer, message = data["answer"], data["message"][-1]["text"]
        random = Random(json.dumps([message, answer]))
        told = is_right(message, answer) == (random.random() < self.right)
        if self.way == "broken" and random.random() < 0.45:
            return say("I think it is fine.")
        if self.way == "random":
            told = random.random() < 0.5
        if self.way == "verbose":
            told = len(answer) > 60
        usage = {"prompt_tokens": 100, "completion_tokens": 10}
        asks_support = "whether the `message` supports" in body["messages"][0]["content"]
        words = ("supported", "unsupported") if asks_support else ("right", "wrong")
        reply = {"verdict": words[0] if told else words[1], "statement": answer, "why": "because"}
        return say(json.dumps(reply), model=self.model, usage=usage)
