"""vLLM itself, where its command is there: it takes our adapters, and answers as the engine of this process does."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from burnish.data.intake import add_files
from burnish.fakes import random_version
from burnish.loop.probing import recall
from burnish.loop.project import Project, create_project, settings_with
from burnish.model.base import Base
from burnish.registry import promote
from burnish.serve.server import Tenant
from burnish.serve.vllm_adapters import VllmSource
from burnish.serve.vllm_engine import VllmEngine
from burnish.serve.vllm_setup import make_engine
from burnish.talk import Silence
from tests.loop.conftest import small_settings, write_rows
from tests.serve.town import bench_of, chat, serving

COMMAND = os.environ.get("BURNISH_TEST_VLLM", "vllm")
ARGS = ["--enforce-eager", "--max-model-len", "1024"]
SCHEMA = {"type": "object", "properties": {"urgent": {"type": "boolean"}}, "required": ["urgent"]}
WISHES = [
    {"max_tokens": 12, "logprobs": True, "top_logprobs": 3},
    {"response_format": {"type": "task"}, "logprobs": True},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}, "max_tokens": 24},
]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which(COMMAND), reason=f"vLLM is not here: BURNISH_TEST_VLLM names {COMMAND!r}")
def test_vllm_itself_says_what_the_own_engine_says(tmp_path: Path) -> None:
    changes = {"task.shots": 0, "train.precision": "float32", "synthesize.top_up": False}
    settings = settings_with(small_settings(Path("builtin:english-10m")), changes)
    project = create_project(tmp_path / "desk", settings)
    add_files(project.store, project.settings, [write_rows(tmp_path / "rows.jsonl", 30)], Silence(), skip_bad=False)
    base = bench_of(project)
    for at, name in enumerate(("ada", "bea")):
        random_version(project.store, base, name, rank=4 + at, seed=at, size=0.02)
    promote(project.store, "ada", "the tests serve it", "test")
    with serving(project) as own:
        expected = [chat(own, name, "the password is refused", **wish) for name in ("ada", "bea") for wish in WISHES]
    with serving(project, engine=lambda base, tenants: itself(project, base, tenants)) as other:
        said = [chat(other, name, "the password is refused", **wish) for name in ("ada", "bea") for wish in WISHES]
    for ours, theirs in zip(expected, said, strict=True):
        assert theirs.choices[0].message.content == ours.choices[0].message.content
        assert (theirs.model, theirs.usage) == (ours.model, ours.usage)
        for mine, its in zip(*((one.choices[0].logprobs or _NONE).content for one in (ours, theirs)), strict=True):
            assert (its.token, its.logprob) == (mine.token, pytest.approx(mine.logprob, rel=1e-3, abs=1e-3))


class _NONE:
    content = ()


def itself(project: Project, base: Base, tenants: Sequence[Tenant]) -> VllmEngine:
    """An engine with a vLLM of its own."""
    changes = {"serve.vllm.command": COMMAND, "serve.vllm.args": ARGS}
    source = VllmSource(store=project.store, recall=recall(project))
    return make_engine(base, {project.settings.project: source}, [settings_with(tenants[0].settings, changes)])
