"""What will be done: pure functions from what is and what is wanted to a plan."""
