"""What is wanted and what is: frozen values without I/O."""
