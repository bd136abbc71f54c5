"""Images of clients: decoded within bounds, made into a model's input, and named by a label.

No sockets, no sessions, no torch. Pillow is used nowhere else.
"""
