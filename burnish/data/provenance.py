"""Where an example comes from, as its columns say: people, a synthetic batch, or replay."""

from burnish.records import Example

PROVENANCE = "provenance"
"""The column that tells where a row comes from: human, synthetic or replay; rows without it are human."""
HUMAN, SYNTHETIC, REPLAY = "human", "synthetic", "replay"
BATCH = "batch"
"""The column that names the synthetic batch a row came with."""
PROVENANCE_FILE = "provenance.jsonl"
"""In the folder of a synthetic batch: one `Provenance` a line."""


def provenance(example: Example) -> str:
    """human, synthetic or replay, as the column says."""
    return example.slices.get(PROVENANCE, "") or HUMAN
