"""``status``: the agents of each node with their models, and the functions with their revisions.

May import ``knative.cluster``.
"""
