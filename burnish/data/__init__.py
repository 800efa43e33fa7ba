"""Examples: read from any usual file, checked, split into roles by group, and given back out."""
