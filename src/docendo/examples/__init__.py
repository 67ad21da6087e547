"""What is trained on and what is shown: rows and worked examples made of other rows."""
