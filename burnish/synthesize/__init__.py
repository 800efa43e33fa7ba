"""Synthetic data: what to make, how rules make it, what keeps it honest. A batch trains nothing before its audit."""
