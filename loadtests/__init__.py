"""Load tests of the function and the agent by Locust. May import `function` and `vaccel_rpc`; nothing imports it.

``answers``, ``limits``, ``shapes`` and ``texts`` know no Locust: an environment without it can test them.
"""
