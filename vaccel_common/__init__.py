"""What the function and the agent share beside the RPC: model files, logs, traces, signals. Imports nothing of ours."""
