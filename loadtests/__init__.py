"""Load tests of the function and the agent, by Locust. They may import `function` and `vaccel_rpc`;
nothing imports them.

``answers``, ``config``, ``criteria``, ``shapes`` and ``texts`` do not import Locust, so they can be
tested without it.
"""
