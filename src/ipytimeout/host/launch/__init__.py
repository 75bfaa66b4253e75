"""How a child is had. Runs in the user's process."""
