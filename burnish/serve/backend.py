"""What the server asks of whatever runs the model: jobs in, answers out, and which adapters it holds.

Two engines do: `engine.Engine` runs the base in this process, `vllm_engine.VllmEngine` has vLLM run it.
"""

from typing import Protocol

from burnish.serve.engine import Job
from burnish.serve.pool import Loads


class Held(Protocol):
    """The adapters that can answer now, and those that must not."""

    loads: Loads

    @property
    def names(self) -> tuple[str, ...]:
        """Versions whose adapters are loaded."""

    def is_refused(self, project: str, name: str) -> bool:
        """Whether this version failed its checks when it was asked for last."""

    def checked(self, project: str, name: str) -> str:
        """What was checked when this version was loaded; empty when it is not."""

    def close(self) -> None:
        """Gives back what it took."""


class Backend(Protocol):
    """An engine; any thread may call it."""

    @property
    def pool(self) -> Held:
        """Its adapters."""

    @property
    def is_alive(self) -> bool:
        """Whether it will ever answer again."""

    @property
    def is_ready(self) -> bool:
        """Whether it answers now; where it is alive and not ready, requests wait."""

    @property
    def num_active(self) -> int:
        """Requests that are being answered."""

    @property
    def num_waiting(self) -> int:
        """Requests that wait for their turn."""

    def submit(self, job: Job) -> int:
        """Queues a job and gives the ticket by which it can be cancelled."""

    def cancel(self, ticket: int) -> None:
        """The job gives way; finished ones are ignored."""

    def close(self, timeout_s: float) -> bool:
        """Ends when what was taken in is answered; False when that takes longer than `timeout_s`."""
