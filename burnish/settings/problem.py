"""One thing that is wrong in a settings file, and what was probably meant."""

import difflib
from collections.abc import Sequence
from typing import Any, NamedTuple, get_args

from burnish.config import Section, Settings
from burnish.errors import ConfigError
from burnish.foreign_names import ADVICE, SETTING
from burnish.settings.schema import Where, section_in, setting_names, spelled

SEE_ALL = "`burnish config schema` lists every setting with what it allows"


class Problem(NamedTuple):
    """One thing that is wrong in a settings file or an override."""

    place: str
    """burnish.yaml line 7, or --set train.lr=x."""
    text: str
    hint: str


def config_error(name: str, problems: Sequence[Problem]) -> ConfigError:
    """The error that tells every problem of a file."""
    if len(problems) == 1:
        problem = problems[0]
        return ConfigError(f"{problem.place}: {problem.text}", hint=problem.hint)
    hints = ["" if problem.hint == SEE_ALL else f"; {problem.hint}" for problem in problems]
    lines = [f"  {problem.place}: {problem.text}{hint}" for problem, hint in zip(problems, hints, strict=True)]
    return ConfigError(
        "\n".join([f"{len(problems)} problems in the settings:", *lines]), hint=f"mend {name}; {SEE_ALL}"
    )


def kind_of(model: type[Section], where: Where) -> Any:
    """The type of the setting at `where`, or the Problem why there is none."""
    for depth, part in enumerate(where):
        if part not in model.model_fields:
            return unknown(where)
        inner = section_in(model, str(part))
        if inner is None:
            kind = model.model_fields[str(part)].annotation
            rest = where[depth + 1 :]
            if not rest:
                return kind
            if len(rest) == 1 and getattr(kind, "__origin__", None) is dict:
                return get_args(kind)[1]
            name = spelled(where[: depth + 1])
            return Problem("", f"{name} is one value and has no part {spelled(rest)}", f"write {name}=VALUE")
        model = inner
    names = ", ".join(f"{spelled(where)}.{key}" for key in model.model_fields)
    return Problem("", f"{spelled(where)} is a section", f"set one of {names}")


def unknown(where: Where) -> Problem:
    """A key that does not exist, and the one that was probably meant."""
    name, last = spelled(where), str(where[-1]).lower().replace("-", "_")
    text = f"{name} is not a setting"
    if last in SETTING and SETTING[last] != name:
        return Problem("", text, f"did you mean `{SETTING[last]}`?")
    if last in ADVICE:
        return Problem("", text, ADVICE[last])
    meant = _meant(name.lower().replace("-", "_"), last)
    return Problem("", text, f"did you mean {' or '.join(f'`{one}`' for one in meant)}?" if meant else SEE_ALL)


def _meant(name: str, last: str) -> list[str]:
    """Our settings that look most like a key: by its last word exactly, else by the closest spelling of all names."""
    names = setting_names()
    sections = tuple(key for key in Settings.model_fields if section_in(Settings, key))
    same = [full for full in names if full.rpartition(".")[2] == last]
    if same:
        return same
    spelled = {foreign: (last, ours) for foreign, ours in SETTING.items()}
    spelled |= {full.rpartition(".")[2]: (last, full) for full in names}
    spelled |= {full: (name, full) for full in (*names, *sections)}
    scored = [(difflib.SequenceMatcher(None, typed, key).ratio(), ours) for key, (typed, ours) in spelled.items()]
    score, best = max(scored, key=lambda pair: pair[0])
    return [best] if score >= 0.7 else []
