"""Whether the requests of today are still those a model was proven on: five signals with one budget of false alarms."""
