"""What is trained on: Examples made of problems and of what models say of them."""
