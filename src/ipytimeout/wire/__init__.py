"""What the processes say to each other, and the few things that two of them must do alike.

Nothing of Jupyter but its names. Messages, frames and pickles are pure; ``memory``, ``state`` and ``marks`` touch the
process that they run in, and are here because host and child, or host and warden, both need them.
"""
