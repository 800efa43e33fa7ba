"""Diagnose: where a model is weak, confirmed on rows that did not choose the place, why, and what would mend it."""
