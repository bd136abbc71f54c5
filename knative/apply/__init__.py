"""``deploy`` and ``undeploy``: objects from files, the command line's changes to them, and waiting
until they are ready or gone.

What decides something (``why``, ``states``, ``overrides``, ``manifests``) works without a network.
May import ``knative.cluster``.
"""
