"""The gate: one question to a sealed vault, \"is the challenger better, and worse nowhere that matters?\"."""
