"""burnish fine-tunes a language model in rounds and promotes only what is proven better.

The front door: a few names, each loaded when it is first used, so that importing burnish never loads torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from burnish.config import Settings as Settings
    from burnish.errors import BurnishError as BurnishError
    from burnish.loop.project import create_project as create_project
    from burnish.loop.project import open_project as open_project
    from burnish.loop.result import RoundResult as RoundResult
    from burnish.loop.round import run_round as run_round

_HOMES = {
    "BurnishError": "burnish.errors",
    "RoundResult": "burnish.loop.result",
    "Settings": "burnish.config",
    "create_project": "burnish.loop.project",
    "open_project": "burnish.loop.project",
    "run_round": "burnish.loop.round",
}
__all__ = sorted(_HOMES)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """The public name, from the file where it lives."""
    if name not in _HOMES:
        raise AttributeError(f"burnish has no {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
