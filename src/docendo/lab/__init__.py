"""The built-in tiny models and the generators of their problems."""
