"""What the processes say to each other. Pure: no I/O, nothing of Jupyter but its names."""
