"""What screens are made of: widgets that paint line by line from arrays."""
