"""An adapter folder as PEFT itself reads it: how likely the base then finds given answers."""

import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from burnish.model.base import Base, quiet_transformers
from burnish.model.generate import target_logprobs
from burnish.model.rendered import Rendered


def peft_name() -> str:
    """The reader by name and version."""
    return f"PEFT {version('peft')}"


def peft_logprobs(base: Base, folder: Path, rows: Sequence[Rendered]) -> list[float]:
    """Summed log-probability of what each row has to learn, in nats, with PEFT's own layers on the base."""
    from peft import PeftModel

    with quiet_transformers(), warnings.catch_warnings():
        # PEFT 0.21 asks transformers 5.23 for a property under its old name
        warnings.filterwarnings("ignore", category=FutureWarning, message=".*is deprecated")
        wrapped = PeftModel.from_pretrained(base.model, str(folder)).eval()
    try:
        return [float(found.sum()) for found in target_logprobs(base, rows)]
    finally:
        wrapped.unload()
        base.model.requires_grad_(False)
