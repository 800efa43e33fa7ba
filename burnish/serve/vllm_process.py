"""A vLLM of burnish's own: which command starts it, on a socket that nobody else may open, and how it ends.

It listens on a socket file in a folder of its own and wants a key that is made for the run, so loading adapters while
it runs is open to this process alone. It goes with burnish, however that ends (`leash`).
"""

import os
import secrets
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from burnish.errors import UsageError
from burnish.serve import leash
from burnish.serve.vllm_client import BASE_NAME, Address

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM (0.32) takes as --max-lora-rank, from 8 on."""
SOCKET, LOG_FILE = "vllm.socket", "vllm.log"
TAIL_BYTES = 2000
END_S = 25.0
"""Seconds until it is ended without being asked any more."""
PRIVATE = ("BURNISH_", "VLLM_API_KEY")
"""Beginnings of names in the environment that are none of vLLM's business."""
QUIET = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
"""It sends nothing anywhere and fetches nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmPlan:
    """What is to be started."""

    command: tuple[str, ...]
    """What is called before `serve`."""
    base: Path
    """Folder of the base."""
    precision: str
    max_rank: int
    """Of an adapter, one of RANKS."""
    most_adapters: int
    """That it keeps in memory."""
    most_at_once: int
    """Of those, how many answer in one batch."""
    max_rows: int
    most_top: int
    """Likeliest tokens that a request may ask for."""
    extra: tuple[str, ...] = ()
    """Words of the user's own, at the end."""
    hidden: tuple[str, ...] = ()
    """More names of the environment that are none of vLLM's business."""

    def words(self, socket: Path) -> list[str]:
        """The command."""
        numbers = {
            "max-lora-rank": self.max_rank,
            "max-loras": self.most_at_once,
            "max-cpu-loras": self.most_adapters,
            "max-num-seqs": self.max_rows,
            "max-logprobs": self.most_top,
        }
        words = [*self.command, "serve", str(self.base), "--uds", str(socket), "--served-model-name", BASE_NAME]
        words += ["--dtype", self.precision, "--generation-config", "vllm", "--enable-lora"]
        words += [word for name, number in numbers.items() for word in (f"--{name}", str(number))]
        return [*words, "--disable-uvicorn-access-log", *self.extra]


def found_command(command: str) -> tuple[str, ...]:
    """The words of a command that is there. Raises UsageError with how to install vLLM."""
    words = shlex.split(command)
    if words and (found := shutil.which(words[0])):
        return (found, *words[1:])
    raise UsageError(
        f"vLLM is not installed: there is no command {command!r}",
        hint="install it in an environment of its own (python -m venv vllm && vllm/bin/pip install vllm), and name its "
        "command as serve.vllm.command, such as /opt/vllm/bin/vllm",
    )


def fitting_rank(rank: int) -> int | None:
    """The smallest rank that vLLM takes and that has room for this one; None where there is none."""
    return next((allowed for allowed in RANKS if rank <= allowed), None)


class VllmProcess:
    """One run of vLLM."""

    def __init__(self, plan: VllmPlan, folder: Path, log: Path) -> None:
        """Begins to start it, with its socket in `folder`; what it says goes to the file `log`, from its beginning."""
        socket = folder / SOCKET
        socket.unlink(missing_ok=True)
        self.address = Address(url="http://localhost", key=secrets.token_urlsafe(32), socket=socket)
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(leash.__file__), *plan.words(socket)],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=_environment(os.environ, plan.hidden) | {"VLLM_API_KEY": self.address.key},
                start_new_session=True,
            )

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def tail(self) -> str:
        """The last of what it said."""
        return self._log.read_bytes()[-TAIL_BYTES:].decode("utf-8", "replace")

    def end(self) -> None:
        """Ends it and waits for that."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _environment(known: Mapping[str, str], hidden: Sequence[str]) -> dict[str, str]:
    kept = {name: value for name, value in known.items() if not name.startswith(PRIVATE) and name not in hidden}
    return kept | QUIET | {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True"}
