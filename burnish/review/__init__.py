"""People in the loop: what to ask them, what they decide, how far they agree, and which judges may speak for them."""
