"""What the function and the agent share beside the RPC: options, model files, logs, traces,
signals.

Imports no other package of the project.
"""
