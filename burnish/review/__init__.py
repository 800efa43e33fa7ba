"""People in the loop: what to ask them, what their decisions come to, and what their minutes cost."""
