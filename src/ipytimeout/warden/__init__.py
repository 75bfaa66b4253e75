"""What runs in the warden: one small process per host, standard library only, one thread."""
