"""Tiny bases, made once for all tests here; who attaches a bank detaches it."""

import pickle
from functools import cache
from pathlib import Path

import pytest

from burnish.fakes import tiny_base

_tiny = cache(tiny_base)


@pytest.fixture(scope="session")
def tiny():
    return _tiny


class _Canary:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.fixture
def pickle_canary(tmp_path):
    """Writes a pickle that creates a file when it is opened, and gives that file's path."""

    def write(path):
        canary = tmp_path / "canary"
        path.write_bytes(pickle.dumps(_Canary(canary)))
        return canary

    return write
