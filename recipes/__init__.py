"""Recipes: how the things that ship with burnish are made, each a package of its own with a README."""
