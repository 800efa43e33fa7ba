"""What every test gets: no colour, no network to a hub, few threads, no settings from the machine."""

import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("BURNISH_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NO_COLOR", "1")
