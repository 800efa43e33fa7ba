"""What every database of a project has to do with a block of statements that fails."""

import pytest
from sqlalchemy import insert

from burnish.store.roles import current_roles
from burnish.store.store import Store
from burnish.store.tables import role_change


def leaves_no_trace(store: Store) -> None:
    """A block that writes and then raises has written nothing."""
    row = {"example": "a", "role": "train", "reason": "", "at": ""}

    def write_and_fail() -> None:
        with store.db.write() as connection:
            connection.execute(insert(role_change).values(**row))
            raise KeyError

    with pytest.raises(KeyError):
        write_and_fail()
    assert current_roles(store) == {}
