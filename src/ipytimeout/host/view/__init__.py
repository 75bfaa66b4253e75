"""What the user sees of a run. In the user's process."""
