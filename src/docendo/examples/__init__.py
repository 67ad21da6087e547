"""What is trained on? Rows made of samples, problems and labels."""
