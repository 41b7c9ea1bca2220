"""What the report says of secrets that were planted and taken out of the model again, and of gradients that gave tokens away."""
