import itertools

import pytest

from burnish.budget import open_budget
from burnish.client.connection import Connection
from burnish.client.purse import Purse
from burnish.client.teacher import Teacher
from burnish.client.traffic import Traffic
from burnish.config import BudgetSettings, EndpointSettings
from burnish.store.store import open_store
from burnish.talk import Silence


class Time:
    """A clock that only its own waits move."""

    def __init__(self):
        self.now, self.waits = 0.0, []

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.waits.append(seconds)
        self.now += seconds


@pytest.fixture
def teach(tmp_path):
    """A teacher at an address, with its own project; more settings and limits by name."""
    count = itertools.count()
    opened = []

    def make(address, *, usd=None, teacher_tokens=None, folder=None, key="", talk=None, time=None, **settings):
        place = folder or tmp_path / f"desk{next(count)}"
        place.mkdir(exist_ok=True)
        store = open_store(place)
        named = {"usd_per_million_input": 1.0, "usd_per_million_output": 2.0, "concurrency": 1, "max_new_tokens": 64}
        endpoint = EndpointSettings(base_url=address, model="scripted", **{**named, **settings})
        budget = open_budget(store, BudgetSettings(usd=usd, teacher_tokens=teacher_tokens))
        moved = time or Time()
        connection = Connection(settings=endpoint, key=key)
        opened.append(connection)
        return Teacher(
            store=store,
            connection=connection,
            purse=Purse(budget=budget, settings=endpoint, number=1),
            traffic=Traffic(settings=endpoint, clock=moved.clock, sleep=moved.sleep),
            talk=talk or Silence(),
        )

    yield make
    for connection in opened:
        connection.close()
