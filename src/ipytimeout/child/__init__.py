"""What runs in the child, where the user's code is: never imports zmq, ipykernel or ipywidgets."""
