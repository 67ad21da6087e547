"""What is trained on: how Samples become training rows."""
