"""The OpenAI API over many adapters on one copy of a base: what is asked, which adapter answers, and the answer."""
