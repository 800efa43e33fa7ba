"""What is served is what was measured: an adapter that is not the registered one, or says other things, is refused."""

import json
from pathlib import Path

import pytest
from openai import InternalServerError

from burnish.errors import ModelError
from burnish.fakes import random_version
from burnish.loop.forget import forget
from burnish.loop.probing import UNPROVEN, prober
from burnish.registry import champion, folder_of, get, promote, rollback
from burnish.serve.pool import Refused
from burnish.store.roles import role_history
from tests.serve.town import alone, bench_of, chat, pool_of, serving, wearing

ASKED = "the password is refused"
WEIGHTS = "adapter_model.safetensors"


def flip(path: Path, at: int) -> None:
    """Another bit in one byte of a file that is sealed."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


def other_rank(folder: Path) -> None:
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"r": 3}))


def no_numbers(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(folder / WEIGHTS)
    save_file({name: part * float("nan") for name, part in state.items()}, folder / WEIGHTS)


BAD = {
    "other weights than registered": ({"adapter_hash": "0" * 64}, "registered is 0000"),
    "another base": ({"base_hash": "f" * 64}, "made for another base"),
    "no effect": ({"size": 0.0}, "changes no answer of the base"),
    "another rank": ({"spoil": other_rank}, "is \\(2,"),
    "no numbers": ({"spoil": no_numbers}, "not finite"),
    "a whole model": ({"spoil": lambda folder: (folder / "adapter_config.json").unlink()}, "whole model"),
}


@pytest.mark.parametrize("what", BAD)
def test_an_adapter_that_must_not_answer_is_refused_with_the_reason_and_harms_nobody(furnished, project, what):
    facts, reason = BAD[what]
    base = bench_of(project)
    bad = random_version(project.store, base, "bad", **facts)
    pool = pool_of(project, base)
    with pytest.raises(Refused, match=reason):
        pool.lease("small", bad, lambda slot: None)
    assert pool.lease("small", get(project.store, "ada"), lambda slot: None) == 0
    assert (pool.loads.loaded, pool.loads.refused) == (1, 1)
    pool.close()


@pytest.mark.parametrize("at", [3, 40, -1])
def test_a_flipped_bit_anywhere_in_an_adapter_is_damage(project, at):
    version = get(project.store, "ada")
    flip(folder_of(project.store, version) / WEIGHTS, at)
    pool = pool_of(project)
    with pytest.raises(Refused, match=f"damaged.*{WEIGHTS}"):
        pool.lease("small", version, lambda slot: None)
    pool.close()


def test_stored_answers_must_come_out_again(furnished):
    base, check = bench_of(furnished), prober(furnished)
    good = champion(furnished.store)
    with wearing(base, furnished.store.root / good.artifact):
        assert check(base, good)() == "8 stored answers came out again within 0.1%"
    with (
        wearing(base, furnished.store.root / get(furnished.store, "ada").artifact),
        pytest.raises(ModelError, match="does not answer as it was measured: 8 of 8"),
    ):
        check(base, good)()
    assert check(base, get(furnished.store, "ada"))() == UNPROVEN


def test_a_damaged_evaluation_keeps_no_other_from_being_compared(project):
    damaged = project.store.root / "artifacts" / "evaluate" / "damaged"
    damaged.mkdir()
    (damaged / "summary.json").write_bytes(b'{"model_hash": "\xff')
    base, good = bench_of(project), champion(project.store)
    with wearing(base, project.store.root / good.artifact):
        assert prober(project)(base, good)().startswith("8 stored answers came out again")


def test_a_promoted_adapter_that_fails_its_checks_leaves_the_champion_before_it_in_service(project, furnished):
    good = champion(project.store)
    bad = random_version(project.store, bench_of(project), "bad", size=0.0)
    with serving(project) as town:
        promote(project.store, bad.name, "looked fine", "test")
        said = town.client().chat.completions.with_raw_response.create(
            model="small", messages=[{"role": "user", "content": ASKED}], max_tokens=9
        )
        assert said.headers["x-burnish-version"] == good.name
        assert said.parse().choices[0].message.content == alone(furnished, good, ASKED, 9).text
        assert town.get("/readyz").text == "behind\n"
        with pytest.raises(InternalServerError) as error:
            chat(town, "bad", ASKED, max_tokens=9)
        assert (error.value.status_code, error.value.code) == (503, "model_not_ready")
        rollback(project.store, "it failed")
        assert town.get("/readyz").text == "ready\n"
        assert chat(town, "small", ASKED, max_tokens=9).model == good.name
        assert "burnish_adapters_refused 1.0" in town.get("/metrics").text


def test_no_earlier_champion_answers_that_learned_from_a_row_which_was_forgotten_since(project):
    learned = next(change.example for change in role_history(project.store) if change.role == "train")
    promote(
        project.store, random_version(project.store, bench_of(project), "bad", size=0.0).name, "looked fine", "test"
    )
    with serving(project) as town:
        assert chat(town, "small", ASKED, max_tokens=1).model != "bad"
        forget(project, learned)
        with pytest.raises(InternalServerError) as error:
            chat(town, "small", ASKED, max_tokens=1)
        assert (error.value.status_code, error.value.code) == (503, "model_not_ready")
        assert town.get("/readyz").text == "no champion can be loaded\n"
        promote(project.store, "ada", "it learned from nothing here", "test")
        promote(project.store, "bad", "once more", "test")
        assert chat(town, "small", ASKED, max_tokens=1).model == "ada"
