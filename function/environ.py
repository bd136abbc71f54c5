"""Keys of a request's WSGI environment by which the server's side speaks to the application."""

from __future__ import annotations

#: The `Problem` that a request is to be refused with: its body could not be had.
REFUSAL = "function.refusal"
#: Takes the `jsonlines.Answers` of a stream of lines, whose body then passes through as it comes.
LINES = "function.lines"
