"""The database's format, step by step: one file per step in versions/, run by `store.migrate`."""
