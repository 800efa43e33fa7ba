"""Small real things for tests, docs and examples: tiny models of every family, saved as folders, and labelled rows.

Nothing here imitates our own code: a tiny base goes through the same loading as a large one.
"""

import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from burnish.model.adapter import adapter_hash, save_adapter
from burnish.model.base import Base, load_base, quiet_transformers
from burnish.model.lora import AdapterSpec, attach
from burnish.records import Example, Message, ModelVersion
from burnish.registry import register
from burnish.store.stage import run_stage
from burnish.store.store import Store

FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "phi", "phi3")
CONTROL: tuple[str, ...] = (
    "<|endoftext|>",
    "<|pad|>",
    "<|im_start|>",
    "<|im_end|>",
    "[INST]",
    "[/INST]",
    "<start_of_turn>",
)
CONTROL += ("<end_of_turn>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<think>", "</think>")

TEMPLATES = {
    "chatml": "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    "mistral": "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% elif m.role == 'system' %}{{ m.content }}\n{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}",
    "gemma": "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content | trim }}<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}",
    "llama": "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}",
    "thinking": "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and loop.last %}"
    "<think>\n\n</think>\n\n{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
}
"""Chat templates in the styles of the families, each written anew and short."""

_SENTENCES = (
    "The claim for last week was paid on Monday.",
    "Please tell me how I can appeal the decision about my benefits.",
    "I moved to another state and would like to know where to file.",
    '{"amount":"120","date":"2026-05-04","name":"Ann"}',
    "user assistant system model\n\nstatus payment appeal address other",
)
_LABELS = {
    "payment": ("When will my money come", "The payment is late again", "I was paid too little"),
    "appeal": ("I want to appeal the decision", "They denied me and I disagree", "How do I object"),
    "address": ("I have moved to a new street", "Please change my address", "My flat is another one now"),
}


def tiny_base(family: str = "llama", seed: int = 0, *, template: str = "chatml", precision: str = "float32") -> Base:
    """A loaded tiny model with random weights: 2 layers, hidden size 32; the same for the same arguments."""
    with tempfile.TemporaryDirectory() as folder:
        tiny_folder(Path(folder), family, seed, template=template)
        return load_base(folder, precision=precision, device="cpu")


def tiny_folder(path: Path, family: str = "llama", seed: int = 0, *, template: str | None = "chatml") -> Path:
    """Writes a tiny model of a family into `path`, as a hub would hold it, and returns the path.

    `template` is a name of TEMPLATES, a template itself, or None for none.
    """
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    path.mkdir(parents=True, exist_ok=True)
    backend = _tokenizer()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<|endoftext|>",
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
        chat_template=TEMPLATES.get(template, template) if template is not None else None,
    )
    tokenizer.save_pretrained(path)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: Any = AutoModelForCausalLM.from_config(_config(family, backend.get_vocab_size()))
        for parameter in model.parameters():  # wider than the usual start, so that answers differ between prompts
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.2)
    with quiet_transformers():
        model.float().save_pretrained(path)
    return path


def random_version(
    store: Store,
    base: Base,
    name: str,
    *,
    rank: int = 2,
    seed: int = 0,
    size: float = 0.3,
    spoil: Callable[[Path], None] = lambda folder: None,
    **facts: Any,
) -> ModelVersion:
    """Seals and registers an adapter of random weights with the standard deviation `size`, alpha twice its rank.

    `spoil` may harm its folder before it is sealed; `facts` are what its version says in place of what is so.
    """
    spec = AdapterSpec(name=name, rank=rank, alpha=2.0 * rank, seed=seed)
    bank = attach(base.model, [spec])
    drawn = torch.Generator().manual_seed(seed)
    state = {key: size * torch.randn(part.shape, generator=drawn) for key, part in bank.state(0).items()}
    bank.detach()

    def work(folder: Path) -> dict[str, object]:
        save_adapter(folder / "slot", spec=spec, state=state, base=base)
        spoil(folder / "slot")
        return {}

    sealed = run_stage(store, stage="train", version=1, settings=name, inputs={}, seed=seed, work=work)
    version = ModelVersion(
        name=name,
        round=1,
        adapter_hash=adapter_hash(state),
        artifact=store.relative(sealed.path / "slot"),
        base=base.name,
        base_hash=base.base_hash,
        template_hash=base.chat.template_hash,
    )
    return register(store, replace(version, **facts))


def small_examples(count: int = 60, *, seed: int = 0) -> list[Example]:
    """Labelled messages of three intents, `count` of them in turn; a model can learn them."""
    labels = sorted(_LABELS)
    examples = []
    for index in range(count):
        label = labels[index % len(labels)]
        texts = _LABELS[label]
        text = f"{texts[(index // len(labels) + seed) % len(texts)]}, case {index + 100 * seed}"
        turns = (Message(role="user", content=text), Message(role="assistant", content=label))
        slices = {"channel": ("web", "phone")[index % 2]}
        examples.append(Example(id=f"row-{index}", messages=turns, group=f"group-{index // 2}", slices=slices))
    return examples


def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=len(CONTROL) + 256 + 128,
        special_tokens=list(CONTROL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_SENTENCES * 2, trainer)
    assert json.loads(tokenizer.to_str())["model"]["type"] == "BPE"
    return tokenizer


def _config(family: str, vocab_size: int) -> Any:
    from transformers import AutoConfig

    shape: dict[str, Any] = {
        "vocab_size": vocab_size,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4 if family == "phi" else 2,
        "max_position_embeddings": 512,
        "bos_token_id": 0,
        "eos_token_id": 3,
        "pad_token_id": 1,
    }
    if family in ("qwen3", "gemma", "gemma2", "gemma3_text"):
        shape["head_dim"] = 8
    if family in ("mistral", "gemma2", "gemma3_text"):
        shape["sliding_window"] = 16
    return AutoConfig.for_model(family, **shape)
