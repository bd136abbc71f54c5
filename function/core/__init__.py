"""Texts in, predictions out: options, tokens, the model's run, scores, answers. No HTTP server, no Flask."""
