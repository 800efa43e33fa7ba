"""Keeps a vLLM: begins it, or finds the one that somebody else runs, knows when it is lost, and ends its own."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from burnish.errors import ModelError
from burnish.serve.faults import LOG
from burnish.serve.vllm_client import MOST_NAMED, Address, Away, Query, Unmet, VllmClient
from burnish.serve.vllm_process import VllmPlan, VllmProcess

MOST_MISSED = 3
"""Looks that it may leave unanswered, one after the other, before it counts as hanging."""
TRIED = "0.32"
"""The version that burnish was tried with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a vLLM is waited for."""

    start_s: float
    """Until it answers: it reads the base and compiles for it."""
    look_s: float = 2.0
    """Between two looks whether it lives."""
    answer_s: float = 10.0
    """Until it has answered such a look."""


class Keeper:
    """One vLLM after the other, of burnish's own by a plan, or the one at an address."""

    def __init__(self, what: VllmPlan | Address, *, folder: Path, log: Path, patience: Patience) -> None:
        self._what, self._folder, self._log, self._patience = what, folder, log, patience
        self._process: VllmProcess | None = None
        self._client: VllmClient | None = None

    async def begin(self) -> VllmClient:
        """Gives a client once vLLM answers as it must. Raises ModelError with what it said last, Away and Unmet."""
        if isinstance(self._what, VllmPlan):
            self._process = await asyncio.to_thread(VllmProcess, self._what, self._folder, self._log)
        address = self._what if isinstance(self._what, Address) else self._own.address
        self._client = VllmClient(address)
        try:
            async with asyncio.timeout(self._patience.start_s):
                while not await self._client.is_healthy(self._patience.answer_s):
                    self._demand_alive()
                    await asyncio.sleep(min(0.2, self._patience.look_s))
        except TimeoutError as error:
            raise self._not_up(f"did not answer within {self._patience.start_s:g} s") from error
        await demand_contract(self._client)
        return self._client

    async def lost(self) -> str:
        """Waits until it is lost, and says how."""
        assert self._client
        missed = 0
        while missed < MOST_MISSED:
            if self._process and not self._process.is_alive:
                return "vLLM has ended"
            missed = 0 if await self._client.is_healthy(self._patience.answer_s) else missed + 1
            await asyncio.sleep(self._patience.look_s)
        return "vLLM does not answer any more"

    async def end(self) -> None:
        """Hangs up, and ends a vLLM of burnish's own."""
        if self._client:
            await self._client.close()
        if self._process:
            await asyncio.to_thread(self._process.end)
        self._client = self._process = None

    @property
    def _own(self) -> VllmProcess:
        assert self._process
        return self._process

    def _demand_alive(self) -> None:
        if self._process and not self._process.is_alive:
            raise self._not_up("ended before it answered")

    def _not_up(self, what: str) -> ModelError:
        if not self._process:
            return ModelError(f"vLLM {what}", hint="Look whether it runs at serve.vllm.url.")
        LOG.error("vLLM %s; it said last: %s", what, ascii(self._process.tail()))
        return ModelError(
            f"vLLM {what}", hint=f"{self._log} says why; serve.vllm.args gives it more words, such as a smaller window."
        )


async def base_name_of(client: VllmClient) -> str:
    """The name of the base: the only model whose folder is no adapter's, or the first of several."""
    return next(iter(await client.models()))


async def demand_contract(client: VllmClient) -> None:
    """Asks what burnish needs of vLLM. Raises ModelError that names the version where it lacks something."""
    query = Query(model=await base_name_of(client), tokens=(0,), most=1, salt="contract")
    try:
        await client.next_logprobs(query, range(min(MOST_NAMED, 2)))
        await client.answer_logprobs(query, (0,))
        async with aclosing(client.write(query)) as steps:
            async for _ in steps:
                return
        raise Away("no token came")
    except (Away, Unmet, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"vLLM {await client.version()} does not answer as burnish needs it: {error}",
            hint=f"Version {TRIED} does; update vLLM, or serve with --engine builtin.",
        ) from error
