"""What is kept? Each selector says for every row why it is dropped, or that it is not."""
