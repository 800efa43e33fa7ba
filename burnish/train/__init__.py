"""Training: supervised fine-tuning of a bank of adapters, or of every weight, with checkpoints that survive a kill."""
