"""The variants of each part of a request that mutations choose from; most are invalid in a way that
some server has accepted.
"""

from __future__ import annotations


def _split(text: bytes) -> tuple[bytes, ...]:
    return tuple(text.split(b"|"))


#: Method, target, content type, body: valid requests, most of them for routes that need no agent.
VALID = (
    (b"GET", b"/health/liveness", b"", b""),
    (b"GET", b"/health/liveness", b"", b""),
    (b"GET", b"/health/liveness?a=1&b=%20", b"", b""),
    (b"HEAD", b"/health/liveness", b"", b""),
    (b"GET", b"/v2", b"", b""),
    (b"GET", b"/nothing/here", b"", b""),
    (b"OPTIONS", b"/classify", b"", b""),
    (b"DELETE", b"/classify", b"", b""),
    (b"PUT", b"/health/liveness", b"text/plain", b"a text"),
    (b"POST", b"/nothing/here", b"application/json", b'{"text": "a cup of tea"}'),
    (b"POST", b"/health/liveness", b"application/octet-stream", b"\x00\x01\x02\xff"),
    (b"POST", b"/classify", b"image/png", b"not a text"),
    (b"POST", b"/classify", b"application/json", b'{"texts": 7}'),
    (b"POST", b"/classify", b"application/json", b"{"),
    (b"POST", b"/classify", b"application/x-ndjson", b'{"id": 1}\n{\n[]\n'),
    (b"POST", b"/", b"application/cloudevents+json", b'{"specversion": "1.0"}'),
    (b"POST", b"/v2/models/none/infer", b"application/json", b'{"inputs": []}'),
)
#: The same for routes that run the model.
CLASSIFIED = (
    (b"POST", b"/classify", b"text/plain", b"a cup of tea"),
    (b"POST", b"/classify?top_k=1", b"application/json", b'{"text": "a cup of tea"}'),
    (b"POST", b"/classify", b"application/x-www-form-urlencoded", b"text=a+cup+of+tea"),
    (b"POST", b"/classify", b"application/x-ndjson", b'{"id": 1, "text": "one"}\n{"id": 2, "text": "two"}\n'),
)
BODIES = (
    *_split(
        b'|null|{"text": null}|{"text": "\xff\xfe"}|{"text": "\\ud800"}|{"text": 1e999}|{"texts": [NaN]}|\xef\xbb\xbf{}|'
        b'\x1f\x8b\x08\x00|0\r\n\r\n|\r\n\r\n|text=%zz&text=%00|{"inputs": [{"name": "text", "shape": [-1, 1e400], '
        b'"datatype": "BYTES", "data": [[1]]}]}'
    ),
    b"[" * 5000,
    b'{"text": ' + b"9" * 5000 + b"}",
    b"a" * 40_000,
)

METHODS = _split(
    b'|get|G ET|GET\x00|\xffGET|"GET"|GE\tT|FOO|PRI|M-SEARCH|CONNECT|TRACE|PATCH|HEAD|OPTIONS| GET|\tGET|\r\nGET|\nGET|'
    b"\x16\x03\x01|GET/|HTTP/1.1|" + b"A" * 200
)
GAPS = _split(b"  |\t||\x0b|\x0c|\xa0|\r| \t |\x00| \r|\n|\r\n")
TARGETS = (
    *_split(
        b"*|//x||?|#|/#f|/%00|/%zz|/%ff|/a b|/\xff|/\x00|/\x7f|/../..|/;x|http://x/health/liveness|http://|http:|x:y|x|"
        b"http://u@h:99999/|http://[::1/|https://x|::|x:443|/\xc3\xa9|/%E2%82%AC?%|http://x:port/"
    ),
    *(b'/<>"{}|\\^`', b"/" + b"a" * 9000, b"/?" + b"q" * 70_000),
)
VERSIONS = _split(
    b"HTTP/1.0|HTTP/1.2|HTTP/2.0|HTTP/0.9|HTTP/3.0|HTTP/1.1a|HTTP/11|http/1.1|HTTP/1.10|HTTP/01.1|HTTP/1.1 ||HTTP/1,1|"
    b"HTP/1.1|HTTP/1.1\x0b|ICE/1.0|RTSP/1.0|HTTP/|HTTP/1.|HTTP/1.1 x|HTTP /1.1|HTTP/-1.1|HTTP/1.\xb9|\x00HTTP/1.1|"
    b"HTTP/1.1\t|HTTP/1.0|HTTP/1.0"
)
LINE_ENDS = _split(b"\n|\r|\r\r\n|\n\r|\n\n| \r\n|\x0b\r\n|\x00\r\n|\r\n |\r\n\t|\r\n\r\n||\x85")

NAMES = _split(
    b'| |X | X|X\x00|X\x7f|X\xe9|(x)|X\tY|"X"|X/Y|X\r|\x00|X\x0b|[x]|X@Y|Content_Length|Transfer_Encoding|Content-Length |'
    b" Content-Length|Transfer-Encoding\t|Content-Length\x00|Host |\xef\xbb\xbfHost|__proto__|GET / HTTP/1.1\r\nX|X\n|{x}|"
    b"X,Y|X;Y|" + b"X" * 300 + b"|" + b"X" * 70_000
)
SEPARATORS = _split(b" : | :|\t:|| |=|: : |:\x0b|:\t|:\r\n |:\n|::|:\r|:\x00|\r\n:|:")
VALUES = _split(
    b"|\x00|a\x00b|a\rb|a\nb|a\x01b|a\x7fb|\xff\xfe|a\r\n b|a\r\n\tb|a\n b|a\x0bb|\x1b[31mred|\t|a\r\n\r\nb|a\x08b|"
    b'a\r\nX-More: 1|\xe2\x80\xa8|"|a\x85b|' + b" " * 500 + b"|" + b"a" * 40_000
)
#: Headers that servers or applications interpret, with values that some have failed at.
READ = tuple(
    (name, _split(values))
    for name, values in (
        (b"Connection", b"close|keep-alive|CLOSE|x, close|close, keep-alive|,|keep-alive;close|\x01|te"),
        (b"Upgrade", b"h2c|websocket||HTTP/2.0|TLS/1.0, x"),
        (b"Expect", b"100-continue|100-Continue|100-continue |100-continue, x|200-ok|"),
        (b"Content-Encoding", b"gzip|deflate|br|gzip, gzip|identity|\xff|" + b"x" * 300),
        (b"Content-Type", b"|text/plain; charset=\xff|text/plain; charset=utf-16|application/json; charset=|/|;|a/b/c"),
        (b"Accept", b"*/*;q=x|text/html|,,,|\xff|application/json;q=" + b"9" * 400),
        (b"X-Request-Id", b'|hidden-0 forged=1|\xff|"|' + b"a" * 200),
        (b"traceparent", b"00-x|00-%032d-%016d-00|ff-\xff|00-" % (0, 0) + b"a" * 32 + b"-" + b"b" * 16 + b"-01"),
        (b"tracestate", b"a=1|=|\xff=1|" + b"a=1," * 200),
        (b"ce-specversion", b"1.0|0.3|\xff|%ff"),
        (b"ce-id", b'%zz|"quoted"||\xff'),
        (b"Origin", b"null|http://\xff|a b"),
        (b"X-Forwarded-Proto", b"https|ftp|\xff|https, http"),
        (b"X-Forwarded-For", b"::1|unknown|\xff"),
        (b"Range", b"bytes=0-0|bytes=-9999999999999999999"),
        (b"If-None-Match", b'*|"'),
        (b"TE", b"trailers|chunked"),
        (b"Trailer", b"Content-Length|X"),
        (b"Keep-Alive", b"timeout=-1|max=0"),
        (b"Cookie", b"a=b; \xff|" + b"=" * 300),
    )
)
HOSTS = _split(
    b"a b|a,b|http://x|x/y|u@x|[::1|[::1]|[::1]:80|x:99999|x:abc||\xff|x:80:80|x%zz|%41|x_y|x..y|*|x:|:80|x\t|x#y|x?y|x\\y|"
    b"[v1.x]|[x]|x<y>|'|x:-1"
)
#: ``%d`` stands for the right length.
LENGTHS = _split(
    b"+%d|-%d|%d |0%d|0x%d|%d,%d|%d, 7|%d,|,%d|%d %d||%de0|%d.0|\xb2|\xd9\xa5|%d;|%d\x0b|%d\r\n 0|\t%d|"
    b'0000000000000000000000000000000000%d|_%d|%d_0|%d\x00|"%d"|NaN|0|1|100|99999999999999999999|9223372036854775808|'
    b"18446744073709551616|4294967296|%d\x85|%d\xa0"
)
CODINGS = _split(
    b"Chunked|xchunked|chunked, chunked|gzip, chunked|chunked, gzip|identity|chunked;q=1|\x0bchunked|chunked\x0b|chunk ed|"
    b', chunked|chunked,|"chunked"||chunked\x00|chun\r\n ked|trailers|tchunked|chunked\tx|identity, chunked|x|'
    b"\r\n chunked|chunked\r\n , identity|chunke\xc4|cow|\xffchunked"
)
#: ``%x`` stands for the right size.
SIZES = _split(
    b"+%x|-%x|0x%x|%x | %x|00%x|000000000000000000000%x|%x\t|%x\x0b|%x\r|0_%x||g|fffffffffffffffff|1000000000000000%x|"
    b"%x\x00|%x,1|%x.0|\n%x|\r\n%x|%x\xa0|7fffffff|ffffffff|8000000000000000|%xh|%x0"
)
EXTENSIONS = _split(
    b';|;a|;a=b|;a="b\\"c"|; a = "b"|;a\nb|;\x00|;\r|;a=\x7f| ;a|\t; a|;a;b;c|;a="\r\n"|;\xff|;a=b\n0|;;|;=| |=1|%00|;a\r\r|;'
    + b"a" * 5000
)
CHUNK_ENDS = _split(b"|\n|\r|XX|\r\nX|\r\n\r\n|\n\r|\r\r\n| \r\n|\x00\x00")
LAST_CHUNKS = _split(b"00|000000000|-0|0;x||0 |+0|0x0|0\x0b|\r\n0|0000000000000000000000000000000000000000|0;\n")
TRAILERS = _split(
    b"X-T: 1\r\n|Content-Length: 5\r\n|Transfer-Encoding: chunked\r\n| X: 1\r\n|X : 1\r\n|GET / HTTP/1.1\r\n|X: a\r\n b\r\n|"
    b"X: \x00\r\n|: x\r\n|Host: y\r\n|X: 1\n|X\r\n|X: 1\r\r\n|X: a\rb\r\n|\xff: 1\r\n|\n|X: 1\r|Connection: close\r\n|"
    b"X-Request-Id: hidden-1\r\n|X: \x01\r\n|X: " + b"a" * 40_000 + b"\r\n"
)
