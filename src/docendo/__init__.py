"""Make a language model better with what language models produce, and say honestly whether it did."""

__version__ = "0.1.0"
