"""What a large model leaves in rows that it writes: refusals, remarks about itself, orders to whoever reads the row.

Phrases, so a row that quotes one is dropped, too; such rows are rare among people's and can be added by people.
"""

import re

REFUSAL, BOILERPLATE, ORDERS = "refusal", "boilerplate", "orders"
"""The stable words that open the reason."""
PHRASES: dict[str, re.Pattern[str]] = {
    REFUSAL: re.compile(
        r"\b(?:i(?:'m| am) (?:sorry|afraid),? (?:but )?i (?:can(?:no|')t|am (?:unable|not able))"
        r"|i can(?:no|')t (?:help|assist)(?: you)? with (?:that|this|creating|generating|writing|making)"
        r"|i can(?:no|')t (?:fulfil|comply|generate|create|write|provide) (?:that|this|such|with|content|any|your)\b"
        r"|(?:against|violates?) (?:my|our|the|your) (?:content |usage )?(?:guidelines|polic(?:y|ies)) (?:to|for me))",
        re.IGNORECASE,
    ),
    BOILERPLATE: re.compile(
        r"\bas an? (?:ai|artificial intelligence|large language|language) (?:language )?(?:model|assistant)?"
        r"|^\s*(?:sure|certainly|of course)[,!.]? here(?:'s| is| are)\b"
        r"|^\s*here (?:is|are) (?:the|a|an|some|\d+) (?:new |synthetic |example )?(?:messages?|examples?|rows?)\b"
        r"|\b(?:lorem ipsum|\[?insert [a-z ]{2,30}(?:here|\])|<[a-z _]{2,20} placeholder>)",
        re.IGNORECASE,
    ),
    ORDERS: re.compile(
        r"\b(?:ignore|disregard|forget|override) (?:all|any|the|your|my|every|previous|prior|above|these|those)"
        r"[\w ,]{0,40}?(?:instruction|rubric|prompt|rule|guideline|direction)s?\b"
        r"|\b(?:give|assign|award|rate|score|mark|label|grade) (?:it|this|me|the (?:answer|row|message|text))"
        r"(?: \w+){0,4} (?:10|100|full|maximum|highest|top)\b"
        r"|\b(?:your|the) system (?:prompt|message)\b|\byou are now\b[\w ]{0,20}\b(?:mode|model|assistant|judge)\b"
        r"|<\|?(?:system|im_start|assistant|endoftext)\|?>|\[/?inst\]",
        re.IGNORECASE,
    ),
}


def leftover(text: str) -> str:
    """Reason and the phrase found, such as "refusal: I'm sorry, but I can't"; empty: there is none."""
    for reason, pattern in PHRASES.items():
        if found := pattern.search(text):
            return f"{reason}: {' '.join(found.group().split())[:60]}"
    return ""
