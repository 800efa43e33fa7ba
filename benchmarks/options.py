"""The options that benchmarks on real data share: the folder, the sets in it, the seeds."""

import argparse
import os


def parser_of(about: str | None, *, sets: str, seeds: str = "") -> argparse.ArgumentParser:
    """A parser that takes --data (or BURNISH_REAL_DATA) and --sets, and --seeds where a default for them is given."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("BURNISH_REAL_DATA", ""), help="the folder of the sets")
    parser.add_argument("--sets", default=sets, help="separated by commas")
    if seeds:
        parser.add_argument("--seeds", default=seeds, help="separated by commas")
    return parser
