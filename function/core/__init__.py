"""Texts in, predictions out: what may be asked for, tokens, the model's run, scores, answers. No HTTP server, no Flask."""
