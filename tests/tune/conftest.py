"""A small project on a tiny base, small enough that a whole search takes seconds."""

from tests.loop.conftest import small_base, small_project

__all__ = ["small_base", "small_project"]
