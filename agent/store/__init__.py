"""The models that the agent serves: which files a client may name, what they hold, which are in memory."""
