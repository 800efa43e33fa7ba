"""The base model, its chat template, adapters on it, and what it says."""
