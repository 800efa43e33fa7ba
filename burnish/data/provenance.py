"""Where an example comes from, as its columns say: people, traffic that people answered, a synthetic batch, replay."""

from burnish.records import Example

PROVENANCE = "provenance"
"""The column that tells where a row comes from: human, traffic, synthetic or replay; rows without it are human."""
HUMAN, TRAFFIC, SYNTHETIC, REPLAY = "human", "traffic", "synthetic", "replay"
BATCH = "batch"
"""The column that names the synthetic batch a row came with."""
PROVENANCE_FILE = "provenance.jsonl"
"""In the folder of a synthetic batch: one `Provenance` a line."""


def provenance(example: Example) -> str:
    """human, traffic, synthetic or replay, as the column says."""
    return example.slices.get(PROVENANCE, "") or HUMAN


def is_by_people(example: Example) -> bool:
    """Whether a person gave its answer, to a prompt of the seed data or of a user."""
    return provenance(example) in (HUMAN, TRAFFIC)
