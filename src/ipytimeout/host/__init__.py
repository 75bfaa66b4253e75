"""What runs in the user's process: a kernel, a terminal, a script."""
