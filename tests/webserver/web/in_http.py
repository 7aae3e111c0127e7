"""This file knows what a server that speaks HTTP is told of a request, in the words of CGI.

    variables_of(parser)            what came, as the variables that a web server would make of it (RFC 3875, 4.1)
    told(variables, settings)       what must come, from the variables that a web server gave to a plain CGI program

The second is README.md's "Servers that speak HTTP" once more, written from the words and not from the source: the two are
compared. Pure functions.
"""

import re

# RFC 9110, 7.6.1; what the web server has settled; what a client may not say.
LEFT_BEHIND = re.compile(rb"HTTP_(CONNECTION|KEEP_ALIVE|TE|TRAILER|TRANSFER_ENCODING|UPGRADE|PROXY|PROXY_\w+|EXPECT"
                         rb"|CONTENT_TYPE|CONTENT_LENGTH)")
FORWARDED = re.compile(rb"HTTP_(X_FORWARDED_\w+|FORWARDED|X_REAL_IP)")
ROUSES_OWN = tuple(b"HTTP_X_FORWARDED_" + name for name in (b"FOR", b"PROTO", b"HOST", b"PREFIX"))
IN_PATH = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/"  # RFC 3986, 3.3


def variables_of(parser):
    """(name, value) of what came; None when no head did."""
    if parser.headers is None:
        return None
    method, target, _ = parser.line.split(b" ")
    pairs = [(b"REQUEST_METHOD", method), (b"REQUEST_URI", target)]
    for name, value in parser.headers:
        if name in (b"connection", b"content-length"):
            continue  # the parser has judged both
        upper = name.upper().replace(b"-", b"_")
        pairs.append((upper if name == b"content-type" else b"HTTP_" + upper, value))
    return pairs


def told(variables, trusts=False, script_name=None):
    """{name: value} of all that must come."""
    given = {}
    for name, value in variables:
        given.setdefault(name, value)  # F1: of two the first counts
    value_of = lambda name: given.get(name, b"")
    target = value_of(b"REQUEST_URI")
    host = value_of(b"HTTP_HOST") or value_of(b"SERVER_NAME") or b"localhost"
    absolute = re.fullmatch(rb"(?i:https?)://([^/?]+)(.*)", target)
    if absolute:
        host, target = absolute[1], absolute[2] if absolute[2].startswith(b"/") else b"/" + absolute[2]
    found = {b"REQUEST_METHOD": value_of(b"REQUEST_METHOD"), b"REQUEST_URI": target}
    named = [b"HTTP_" + word.upper().replace(b"-", b"_") for word in re.split(rb"[, \t]+", value_of(b"HTTP_CONNECTION"))]
    for name, value in given.items():
        if (name.startswith(b"HTTP_") and not LEFT_BEHIND.fullmatch(name) and name not in named
                and (trusts or not FORWARDED.fullmatch(name))):
            found[name] = value
    if value_of(b"CONTENT_TYPE"):
        found[b"CONTENT_TYPE"] = value_of(b"CONTENT_TYPE")
    authorization = value_of(b"HTTP_AUTHORIZATION") or value_of(b"REDIRECT_HTTP_AUTHORIZATION")
    found.pop(b"HTTP_AUTHORIZATION", None)
    if authorization:
        found[b"HTTP_AUTHORIZATION"] = authorization
    came = {name: value_of(name) if trusts else b"" for name in ROUSES_OWN}
    prefix = value_of(b"SCRIPT_NAME") if script_name is None else script_name
    encoded = b"".join(bytes([byte]) if byte in IN_PATH else b"%%%02x" % byte for byte in prefix)
    secure = value_of(b"HTTPS").lower() in (b"on", b"1", b"true") or value_of(b"REQUEST_SCHEME").lower() == b"https"
    own = (b", ".join(part for part in (came[ROUSES_OWN[0]], value_of(b"REMOTE_ADDR")) if part),
           came[ROUSES_OWN[1]] or (b"https" if secure else b"http"), came[ROUSES_OWN[2]] or host,
           came[ROUSES_OWN[3]] + encoded)
    found[b"HTTP_HOST"] = host
    for name, value in zip(ROUSES_OWN, own):
        found.pop(name, None)
        if value:
            found[name] = value
    return found
