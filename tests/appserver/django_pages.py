"""This file knows when two pages of Django are the same: byte for byte, but for tokens and for what says what time it is.

    page = Page.of("the index", "/admin/", answer)
    assert differences([page], [other]) == []
"""

import re
from dataclasses import dataclass

# What is between a client and the server that it speaks to, or is said by the one that speaks HTTP to the client.
OF_THE_HOP = {"connection", "keep-alive", "transfer-encoding", "date", "server"}
# All that Apache lets through in an answer 304 (RFC 9110, 15.4.5, names fewer), whoever made it.
OF_A_304 = {"cache-control", "content-location", "etag", "expires", "set-cookie", "vary"}

DAY = rb"\w{3}, \d\d \w{3} 20\d\d \d\d:\d\d:\d\d GMT"
BODY_MASKS = [
    (rb'(name="csrfmiddlewaretoken" value=")\w{64}"', rb'\1(token)"'),
    # The column of a page of history that says when, as Django's templates write it.
    (rb'(<th scope="row">)[A-Z][a-z]{2,4}\.? \d{1,2}, 20\d\d, (?:\d{1,2}(?::\d\d)? [ap]\.m\.|noon|midnight)(</th>)', rb"\1(date)\2"),
]
COOKIE_MASKS = [
    (rb"^csrftoken=\w{64};", rb"csrftoken=(token);"),
    (rb"^sessionid=\w{32};", rb"sessionid=(token);"),
    (rb"^(messages=[^;:]+):[\w-]+:[\w-]+;", rb"\1:(moment):(signature);"),
    (rb"; expires=" + DAY + rb";", rb"; expires=(date);"),
]


def masked(text, masks):
    for pattern, replacement in masks:
        text = re.sub(pattern, replacement, text)
    return text


def length(body, too_many):
    return b"%d and %d" % (len(body), too_many)


@dataclass
class Page:
    step: str
    status: int
    fields: dict  # name -> its values in their order
    body: bytes

    @classmethod
    def of(cls, step, path, answer, head_only=False):
        # To HEAD gunicorn sends what Django made for GET; a client that obeys RFC 9112, 6.3, does not read it.
        body = b"" if head_only else masked(answer.body, BODY_MASKS)
        fields = {}
        for name, value in answer.fields:
            low, value = name.lower(), value.encode("latin-1")
            if low in OF_THE_HOP or answer.status == 304 and low not in OF_A_304:
                continue
            if low == "set-cookie":
                value = masked(value, COOKIE_MASKS)
            elif low == "expires" or low == "last-modified" and path.startswith("/media/"):
                value = masked(value, [(b"^" + DAY + b"$", b"(date)")])
            elif low == "content-length" and not head_only:
                # A date may be written longer in one of the pages than in the other.
                value = length(body, int(value) - len(answer.body))
            fields.setdefault(name, []).append(value)
        return cls(step, answer.status, fields, body)


def difference(page, wanted):
    """What is not the same, in words; None when all is."""
    if page.step != wanted.step:
        return f"{page.step}: it is compared with {wanted.step}"
    if page.status != wanted.status:
        return f"{page.step}: status {page.status} instead of {wanted.status}: {page.body[:300]!r}"
    names = {*page.fields, *wanted.fields}
    if "Content-Length" not in wanted.fields and page.fields.get("Content-Length") == [length(page.body, 0)]:
        names.discard("Content-Length")  # where the server says none, Apache counts if all has come in time, and else sends chunks
    for name in sorted(names):
        if page.fields.get(name) != wanted.fields.get(name):
            return f"{page.step}: {name}: {page.fields.get(name)} instead of {wanted.fields.get(name)}"
    if page.body != wanted.body:
        at = next((at for at, pair in enumerate(zip(page.body, wanted.body)) if pair[0] != pair[1]),
                  min(len(page.body), len(wanted.body)))
        begin = max(0, at - 60)
        return f"{page.step}: at byte {at}: {page.body[begin : at + 60]!r} instead of {wanted.body[begin : at + 60]!r}"
    return None


def differences(pages, wanted):
    found = [difference(*pair) for pair in zip(pages, wanted)]
    if len(pages) != len(wanted):
        found.append(f"{len(pages)} pages instead of {len(wanted)}")
    return [one for one in found if one]
