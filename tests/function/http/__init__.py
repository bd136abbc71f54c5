"""HTTP/1.1 as exact bytes: one table of what is sent and what is answered, held by every server that the function runs under."""
