"""What a round did and what came of it, as one page for people, as Markdown, as JSON, and as a model card."""
