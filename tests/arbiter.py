"""A scripted judge on orders: it reads the question by its JSON and judges well, by chance, by length or not at all."""

import json
import re
from random import Random

from tests.loopback import Act, Asked, say

ORDER = re.compile(r"[A-Z]-\d+")


def is_right(message: str, answer: str) -> bool:
    """What is true of an answer: it names the order of the message and no other."""
    return ORDER.findall(answer) == ORDER.findall(message)


class Arbiter:
    """Ways to judge what is right and what is supported: agreeing, random, verbose, broken. It answers as `model`."""

    def __init__(self, *ways: str, model: str = "judge-1", right: float = 0.95) -> None:
        self.ways, self.model, self.right = ways or ("agreeing", "agreeing"), model, right

    def __call__(self, number: int, body: Asked) -> Act:
        data = json.loads(body["messages"][1]["content"])
        answer, message = data["answer"], data["message"][-1]["text"]
        random = Random(json.dumps([message, answer]))
        told = is_right(message, answer) == (random.random() < self.right)
        asks_support = "whether the `message` supports" in body["messages"][0]["content"]
        way = self.ways[asks_support]
        if way == "broken" and random.random() < 0.45:
            return say("I think it is fine.", model=self.model)
        if way == "random":
            told = random.random() < 0.5
        if way == "verbose":
            told = len(answer) > 60
        usage = {"prompt_tokens": 100, "completion_tokens": 10}
        words = ("supported", "unsupported") if asks_support else ("right", "wrong")
        reply = {"verdict": words[0] if told else words[1], "statement": answer, "why": "because"}
        return say(json.dumps(reply), model=self.model, usage=usage)
