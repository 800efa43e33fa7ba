"""The miniature runs as it stands and tells its story: two rounds, each with a verdict, and a champion at the end."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

MINIATURE = Path(__file__).parent.parent / "examples" / "miniature.py"


@pytest.mark.slow
def test_the_miniature_turns_the_wheel_twice() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(MINIATURE)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "OMP_WAIT_POLICY": "passive"},
    )
    assert done.returncode == 0, done.stderr
    for number in (1, 2):
        part = done.stdout.split(f"round {number}:")[1]
        assert re.search(r"champion  \S+ +\d+\.\d% \[", part)
        assert re.search(r"paired    \d+ won, \d+ lost, \d+ same: ", part)
        assert re.search(r"gate      (PROMOTE|HOLD|INCONCLUSIVE): ", part)
    assert re.search(r"^champion: (base|r[12]-[ab])$", done.stdout, re.MULTILINE)


def test_the_miniature_can_be_read_in_one_sitting() -> None:
    assert len(MINIATURE.read_text(encoding="utf-8").splitlines()) <= 180
