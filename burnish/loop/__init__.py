"""A round, and rounds until there is a reason to stop: the one place where all the parts meet."""
