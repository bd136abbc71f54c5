"""In process, without sockets: one module of the code at a time."""
