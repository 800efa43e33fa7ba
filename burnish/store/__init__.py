"""The project's memory: sealed artifacts, a small database, one lock. What is acknowledged here survives kill -9."""
