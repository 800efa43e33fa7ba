"""The command line: a door. It reads arguments, calls one function of a lower floor, and prints what came back."""
