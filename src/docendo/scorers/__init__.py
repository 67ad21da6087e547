"""How good is a sample: Scorers. One that asks a model does so by stages of the run."""
