"""All that owns text: reading rows, turning them into tokens, splitting them."""
