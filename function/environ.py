"""Keys of the WSGI environment through which the server's side tells the application about a request."""

from __future__ import annotations

from collections.abc import Callable

#: The `Problem` with which a request is refused because its body could not be read.
REFUSAL = "function.refusal"
#: For how many seconds a refused request has been there, from its first byte.
WAITED = "function.waited"
#: A function that takes the `jsonlines.Answers` of a stream of lines, whose body then passes through.
LINES = "function.lines"

#: A response that needed no WSGI: status, headers with names in lower case, body, and what is to be called when it has been sent.
DirectResponse = tuple[int, list[tuple[bytes, bytes]], bytes, Callable[[], None]]
