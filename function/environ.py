"""Keys of the WSGI environment through which the server's side tells the application about a request."""

from __future__ import annotations

#: The `Problem` with which a request is refused because its body could not be read.
REFUSAL = "function.refusal"
#: A function that takes the `jsonlines.Answers` of a stream of lines, whose body then passes through.
LINES = "function.lines"
