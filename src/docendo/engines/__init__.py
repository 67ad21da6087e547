"""Who answers? Engines, and what they need of a checkpoint: its files and its tokenizer."""
