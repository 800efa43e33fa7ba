"""A chat template in Ollama's language writes what the template itself writes, or is refused."""

import json
import re

import pytest

from burnish.errors import ModelError
from burnish.fakes import TEMPLATES
from burnish.model.chat import Chat
from burnish.model.turns import turns_of
from burnish.records import Message

LONG = [
    Message(role="system", content="Be brief."),
    Message(role="user", content='{{ .Content }} "é"'),
    Message(role="assistant", content="ok"),
    Message(role="user", content="more"),
]


def as_go_runs(template: str, messages: list[Message]) -> str:
    """The few words of Go's template language that are used: strings, one range, one if with its branches."""
    assert re.sub(r"\{\{ .*? \}\}", "", template) == ""
    words = re.findall(r"\{\{ (.*?) \}\}", template)
    start, end = words.index("range .Messages"), len(words) - 1 - words[::-1].index("end")
    text = "".join(map(json.loads, words[:start]))
    for message in messages:
        is_mine = False
        for word in words[start + 1 : end]:
            if role := re.fullmatch(r'(?:else )?if eq \.Role "(\w+)"', word):
                is_mine = role[1] == message.role
            elif word == "end":
                is_mine = False
            elif is_mine:
                text += message.content if word == ".Content" else json.loads(word)
    return text + "".join(map(json.loads, words[end + 1 :]))


@pytest.mark.parametrize("name", ["chatml", "mistral", "gemma", "llama"])
def test_a_regular_template_says_the_same_in_go(name, tiny):
    chat = Chat(tiny("llama").tokenizer, TEMPLATES[name], is_trusted=True)
    asked = LONG[1:] if name == "gemma" else LONG
    for end in (1, len(asked)) if asked[0].role == "user" else (2, len(asked)):
        assert as_go_runs(turns_of(chat).as_go(), asked[:end]) == chat.prompt_text(asked[:end])


def test_a_template_that_treats_the_last_turn_otherwise_is_refused(tiny):
    chat = Chat(tiny("llama").tokenizer, TEMPLATES["thinking"], is_trusted=True)
    with pytest.raises(ModelError, match="does not write every turn alike"):
        turns_of(chat)
