"""The project in a browser: a local server whose pages are made here, with nothing to build and nothing to fetch."""
