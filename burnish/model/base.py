"""Base models: the built-in one, a folder, or a hub model at a pinned commit; looked through before anything is loaded.

Only safetensors and JSON are read, only known families are built, and no key of a config can bring in code.
"""

import os
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from burnish.errors import ModelError
from burnish.fingerprint import fingerprint, fingerprint_file
from burnish.model.chat import Chat
from burnish.model.folder import Folder, inspect_folder
from burnish.model.forward import forward_hidden, logits_of, output_head
from burnish.model.speed import choose_precision

Precision = Literal["auto", "float32", "bfloat16"]
HUB_PATTERNS = ["*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json", "tokenizer*.json"]
HUB_PATTERNS += ["special_tokens_map.json", "chat_template.jinja"]
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True, kw_only=True)
class Base:
    """A frozen language model, its tokenizer and the one renderer that belongs to them."""

    name: str
    revision: str | None
    """Commit of a hub model; None for the built-in base and local folders."""
    model: nn.Module
    tokenizer: Any
    chat: Chat
    base_hash: str
    """sha256 over the names and contents of weights, config and tokenizer, and over the chat template."""
    precision: str
    """float32 or bfloat16, of the frozen weights."""
    reason: str
    """Why this precision, such as "bfloat16: 827 against 174 GFLOP/s here"."""
    device: str
    warnings: tuple[str, ...] = ()

    @property
    def hidden_size(self) -> int:
        """Width of the hidden states, from which the learning-rate prior is made."""
        return int(self._config.hidden_size)

    @property
    def vocab_size(self) -> int:
        """Number of tokens that the output head knows; ln of it is the loss of guessing."""
        return int(self._config.vocab_size)

    @property
    def max_tokens(self) -> int:
        """Longest text that the base has positions for."""
        return int(self._config.max_position_embeddings)

    @property
    def _config(self) -> Any:
        return self.model.config


def load_base(name: str, *, revision: str | None = None, precision: str = "auto", device: str = "auto") -> Base:
    """The base model `builtin:NAME`, of a local folder, or of a hub id at `revision` (a commit of 40 hex digits).

    Precision auto takes the faster type, measured here on this model's shapes; device auto takes an accelerator when
    there is one. Raises ModelError when the model is missing, damaged, of an unknown family, or not to be trusted.
    """
    folder = inspect_folder(find_folder(name, revision), name)
    device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    config = folder.config
    chosen, reason = choose_precision(precision, int(config.hidden_size), int(config.intermediate_size), device)
    tokenizer = _load_tokenizer(folder)
    with quiet_transformers():
        model, warnings = _load_model(folder, getattr(torch, chosen))
    model.requires_grad_(False).eval().to(device)
    chat = Chat(tokenizer, is_trusted=name.startswith("builtin:"))
    warnings += _check_tokens(folder, tokenizer, chat, model)
    return Base(
        name=name,
        revision=revision if _is_hub_id(name) else None,
        model=model,
        tokenizer=tokenizer,
        chat=chat,
        base_hash=_hash_of(folder, chat),
        precision=chosen,
        reason=reason,
        device=device,
        warnings=(*folder.warnings, *warnings),
    )


def describe_base(name: str, *, revision: str | None = None, precision: str = "auto") -> Base:
    """The base without its weights: tokenizer, renderer and shapes, for whoever has another engine run the model.

    Its model takes no memory and cannot be run; masks of grammars are made on the CPU. Raises ModelError like
    `load_base`.
    """
    folder = inspect_folder(find_folder(name, revision), name)
    config = folder.config
    chosen, reason = choose_precision(precision, int(config.hidden_size), int(config.intermediate_size), "cpu")
    tokenizer = _load_tokenizer(folder)
    chat = Chat(tokenizer, is_trusted=name.startswith("builtin:"))
    return Base(
        name=name,
        revision=revision if _is_hub_id(name) else None,
        model=_shapes_of(folder, getattr(torch, chosen)),
        tokenizer=tokenizer,
        chat=chat,
        base_hash=_hash_of(folder, chat),
        precision=chosen,
        reason=reason,
        device="cpu",
        warnings=folder.warnings,
    )


def _shapes_of(folder: Folder, dtype: torch.dtype) -> nn.Module:
    from transformers import AutoModelForCausalLM

    with torch.device("meta"), quiet_transformers():
        model: nn.Module = AutoModelForCausalLM.from_config(folder.config, dtype=dtype, trust_remote_code=False)
    return model


def hash_of_base(name: str, *, revision: str | None = None) -> str:
    """The hash that this base has when it is loaded, without loading its weights into memory."""
    folder = inspect_folder(find_folder(name, revision), name)
    return _hash_of(folder, Chat(_load_tokenizer(folder), is_trusted=name.startswith("builtin:")))


def _hash_of(folder: Folder, chat: Chat) -> str:
    hashes = {path.name: fingerprint_file(path) for path in folder.hashed_files}
    return fingerprint({"files": hashes, "template": chat.template_hash})


def find_folder(name: str, revision: str | None) -> Path:
    """The folder that a base's name stands for; a hub model is taken from the cache, else downloaded."""
    if name.startswith("builtin:"):
        return _builtin(name.removeprefix("builtin:"))
    if Path(name).expanduser().is_dir():
        return Path(name).expanduser()
    if not _HUB_ID.fullmatch(name) or name.startswith("."):
        raise ModelError(
            f"there is no base model folder {name}",
            hint="Name a folder with config.json and safetensors, a hub id such as org/model, or builtin:english-10m.",
        )
    return _from_hub(name, revision)


def _is_hub_id(name: str) -> bool:
    return not name.startswith("builtin:") and not Path(name).expanduser().is_dir()


def _builtin(name: str) -> Path:
    assets = Path(str(resources.files("burnish"))) / "assets"
    known = sorted(path.parent.name for path in assets.glob("*/model.safetensors"))
    if name not in known:
        raise ModelError(
            f"there is no built-in base model {name!r}", hint=f"Built in: {', '.join('builtin:' + n for n in known)}."
        )
    return assets / name


def _from_hub(name: str, revision: str | None) -> Path:
    if revision is None or not _COMMIT.fullmatch(revision):
        found = "none is given" if revision is None else f"found {revision!r}"
        raise ModelError(
            f"the hub model {name} needs a revision of 40 hex digits; {found}",
            hint="Take the commit from the model's page on the hub and set it as `revision` beside `base`: "
            "a branch or tag could change under a running project.",
        )
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted: dict[str, Any] = {"repo_id": name, "revision": revision, "allow_patterns": HUB_PATTERNS}
    hint = "Copy the model folder to this machine and name the folder as base, or use builtin:english-10m."
    try:
        return Path(huggingface_hub.snapshot_download(**wanted, local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    except HFValidationError as error:
        raise ModelError(f"{name} is no hub id: {error}", hint=hint) from error
    if huggingface_hub.constants.HF_HUB_OFFLINE or not _can_reach(huggingface_hub.constants.ENDPOINT):
        raise ModelError(f"the hub model {name} is not on this machine, and the hub cannot be reached", hint=hint)
    try:
        return Path(huggingface_hub.snapshot_download(**wanted))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(f"the hub model {name} at {revision} could not be downloaded: {error}", hint=hint) from error


def _can_reach(endpoint: str) -> bool:
    """False within 1.5 s when nobody listens; behind a proxy it is left to the download to find out."""
    import socket
    from urllib.parse import urlsplit

    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True
    url = urlsplit(endpoint)
    try:
        with socket.create_connection((url.hostname, url.port or (80 if url.scheme == "http" else 443)), timeout=1.5):
            return True
    except OSError:
        return False


def _load_tokenizer(folder: Folder) -> Any:
    """The tokenizer exactly as tokenizer.json spells it, without any class of a family on top."""
    from transformers import PreTrainedTokenizerFast

    try:
        with quiet_transformers():
            return PreTrainedTokenizerFast.from_pretrained(str(folder.path), local_files_only=True)
    except Exception as error:  # the tokenizers library raises bare Exception for a damaged file
        raise ModelError(
            f"the tokenizer of {folder.name} cannot be read: {str(error)[:200]}",
            hint="Copy tokenizer.json and tokenizer_config.json of the base again.",
        ) from error


def _load_model(folder: Folder, dtype: torch.dtype) -> tuple[nn.Module, tuple[str, ...]]:
    from transformers import AutoModelForCausalLM

    # Gemma 2 squashes its attention scores, which fused attention cannot do
    attention = "eager" if getattr(folder.config, "attn_logit_softcapping", None) else "sdpa"
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            str(folder.path),
            config=folder.config,
            dtype=dtype,
            attn_implementation=attention,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    except (RuntimeError, ValueError, TypeError, KeyError, AttributeError, OSError, ArithmeticError) as error:
        raise _misfit(folder, str(error)[:300]) from error
    model, info = loaded
    if info["missing_keys"] or info["mismatched_keys"]:
        lacking = sorted(map(str, [*info["missing_keys"], *info["mismatched_keys"]]))
        raise _misfit(folder, f"{len(lacking)} weights are missing or of another shape, such as {lacking[0]}")
    extra = sorted(info["unexpected_keys"])
    return model, (f"{len(extra)} weights are not used, such as {extra[0]}",) if extra else ()


def _misfit(folder: Folder, what: str) -> ModelError:
    return ModelError(
        f"the weights of {folder.name} do not fit its config.json: {what}",
        hint="Copy the model folder again; weights and config.json must come from one commit.",
    )


@torch.no_grad()
def _check_tokens(folder: Folder, tokenizer: Any, chat: Chat, model: nn.Module) -> tuple[str, ...]:
    """Tokenizer and weights must belong together, and the answers must be numbers."""
    head = output_head(model)
    highest, rows = max(tokenizer.get_vocab().values()), head.weight_VD.shape[0]
    if highest >= rows:
        raise ModelError(
            f"tokenizer and weights of {folder.name} do not belong together: the tokenizer goes up to token {highest}, "
            f"the model knows {rows}",
            hint="Copy tokenizer.json of this very base.",
        )
    tokens = torch.tensor([[chat.end_ids[0], highest, chat.pad_id]], device=head.weight_VD.device)
    logits = logits_of(head, forward_hidden(model, tokens)[0])
    if not torch.isfinite(logits).all():
        raise ModelError(
            f"the model {folder.name} answers with numbers that are not finite",
            hint="The weights are damaged or were saved from a run that diverged; take an earlier copy.",
        )
    if not head.weight_VD[chat.end_ids[0]].any():
        return (
            "the end-of-turn token was never trained (its weights are all zero): answers may not end by themselves",
        )
    return ()


class quiet_transformers:
    """While inside, transformers shows no bars and no notes; what matters becomes a ModelError or a warning."""

    def __enter__(self) -> None:
        from transformers.utils import logging

        self._verbosity, self._bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity(50)  # only what would be critical
        logging.disable_progress_bar()

    def __exit__(self, *error: object) -> None:
        from transformers.utils import logging

        logging.set_verbosity(self._verbosity)
        if self._bars:
            logging.enable_progress_bar()
