"""People in the loop: what they decide, how far they agree, and which judges may speak for them."""
