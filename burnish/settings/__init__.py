"""burnish.yaml: what may stand in it, how it is read, and how it is written. `config` says what each setting means."""
