"""Pre-trains a small English base model from one file of texts, so that it can be built into burnish."""
