"""The OpenAPI document is true: whatever is sent by it, every answer has a status and a form that it tells."""

import json
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS

from tests.serve.town import NAMES, Town

NEEDS_NO_TRUTH = ("positive_data_acceptance",)
"""Rules between fields, such as that stream_options belongs to a stream, are in no JSON schema."""

EXAMPLES = 12
ADDRESSES = [
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/{name}"),
    ("POST", "/v1/feedback"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
]


@pytest.fixture(scope="module")
def document(town: Town) -> dict[str, Any]:
    return town.get("/openapi.json").json()


def test_the_document_has_these_addresses_and_no_status_that_never_comes(document):
    told = [(method.upper(), path) for path, some in document["paths"].items() for method in some]
    assert sorted(told) == sorted(ADDRESSES)
    assert "422" not in json.dumps(document)
    assert "ValidationError" not in json.dumps(document)


@pytest.mark.parametrize(
    ("method", "path", "mode"),
    [
        (*address, mode)
        for mode in GenerationMode
        for address in ADDRESSES
        if mode == GenerationMode.POSITIVE or "POST" in address
    ],
)
def test_every_answer_is_one_that_the_document_tells(town, document, method, path, mode):
    schema = schemathesis.openapi.from_dict(document)
    operation = schema[path][method]
    excluded = [check for check in CHECKS.get_all() if check.__name__ in NEEDS_NO_TRUTH]

    @seed(1)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Case) -> None:
        if mode == GenerationMode.POSITIVE and isinstance(case.body, dict) and isinstance(case.body.get("model"), str):
            case.body |= {"model": NAMES[len(case.body) % len(NAMES)]}
            case.body.pop("max_completion_tokens", None)
            case.body["max_tokens"] = 3
        case.call_and_validate(base_url=f"http://127.0.0.1:{town.port}", excluded_checks=excluded)

    ask()
