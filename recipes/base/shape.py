"""The shape of a Llama: its sizes, its number of weights, and the work that a token costs.

Deep and narrow is better than wide at this size (Liu et al. 2024, MobileLLM, arXiv 2402.14905).
"""

from dataclasses import dataclass

from burnish.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes of a decoder of the Llama kind: RMSNorm before, rotary positions, SwiGLU, tied embeddings."""

    layers: int
    hidden: int
    heads: int
    """Attention heads; each reads its own keys and values."""
    feed_forward: int
    """Width of SwiGLU."""
    vocab: int = 8192
    """Tokens; at most 65,536, so that two bytes hold one."""
    positions: int = 2048
    """Longest text that it may be asked to read."""
    rope_theta: float = 10_000.0
    norm_eps: float = 1e-6

    def __post_init__(self) -> None:
        if self.hidden % self.heads or (self.hidden // self.heads) % 2:
            raise ConfigError(
                f"hidden size {self.hidden} does not give {self.heads} heads of an even size",
                hint="Take a hidden size that is a multiple of twice the heads, for example 384 with 6 heads.",
            )
        if not 260 <= self.vocab <= 65_536:
            raise ConfigError(
                f"a vocabulary of {self.vocab:,} tokens cannot be used",
                hint="Take 260 (256 bytes and 4 marks) to 65,536; 8,192 suits a small model.",
            )

    @property
    def head_size(self) -> int:
        """Numbers of a query, a key or a value."""
        return self.hidden // self.heads

    @property
    def num_weights(self) -> int:
        """All trainable numbers; the tied embedding counts once."""
        layer = 4 * self.hidden**2 + 3 * self.hidden * self.feed_forward + 2 * self.hidden
        return self.vocab * self.hidden + self.layers * layer + self.hidden

    def flops_per_token(self, context: int) -> float:
        """Floating-point operations to learn from one token: 6 for each weight, and attention over `context` positions.

        Attention takes 4 * context * hidden a layer forward and twice that backward; the mask of packed documents is
        dense, so nothing is saved for what it hides.
        """
        return 6.0 * self.num_weights + 12.0 * self.layers * context * self.hidden


SHAPES = {
    "1m": Shape(layers=3, hidden=128, heads=2, feed_forward=352, vocab=4096),
    "2m": Shape(layers=5, hidden=160, heads=4, feed_forward=448, vocab=4096),
    "10m": Shape(layers=6, hidden=320, heads=5, feed_forward=864),
    "21m": Shape(layers=10, hidden=384, heads=6, feed_forward=1024),
    "30m": Shape(layers=11, hidden=448, heads=7, feed_forward=1152),
}
"""1m to see the recipe run, 2m for small comparisons, 10m the shape of english-10m. 21m is the largest good one that
fits 45 MB in bfloat16; 30m takes 59 MB, and would have to be stored in 8 bits."""


def shape_named(name: str) -> Shape:
    """The shape of this name. Raises ConfigError when there is none."""
    if name not in SHAPES:
        raise ConfigError(f"there is no shape {name!r}", hint=f"Shapes: {', '.join(SHAPES)}.")
    return SHAPES[name]
