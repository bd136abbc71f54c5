"""The models that the agent serves: which files clients may name, what the files hold, which models
are in memory.
"""
