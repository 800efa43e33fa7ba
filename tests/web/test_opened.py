"""The store that requests share: the same for a while, and never one whose database is gone or another file."""

import shutil

import pytest

from burnish.errors import DamagedError
from burnish.store.store import open_store
from burnish.web.opened import Opened


def test_a_database_that_is_replaced_cut_or_gone_is_looked_at_at_once(tmp_path):
    path = open_store(tmp_path).db.path
    open_store(tmp_path)  # leaves the day's copy
    opened = Opened()
    opened.store(tmp_path)
    copy = shutil.copyfile(path, tmp_path / "copy.db")
    copy.write_bytes(b"no database at all" * 100)
    copy.replace(path)
    with pytest.raises(DamagedError, match="not a database"):
        opened.store(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(DamagedError, match="it is empty"):
        opened.store(tmp_path)
    path.unlink()
    with pytest.raises(DamagedError, match="it is gone"):
        opened.store(tmp_path)
    assert not path.exists()
