"""Speed beside other tools on the same machine, and quality on real sets; each file says how it is run."""
