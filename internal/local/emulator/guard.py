"""Lets only programs of this machine call the local cloud.

Any page that a developer opens can have the browser send requests to 127.0.0.1. Signatures protect AWS's own operations, but not the
emulator's, nor function URLs. A browser names the page's site in Origin, its relation to the site called in Sec-Fetch-Site, and in Host the
name that it resolved: a name that somebody else's DNS server points here (DNS rebinding) is refused too.
"""
import os
from urllib.parse import urlsplit

REFUSED = b"403: the local cloud answers programs of this machine only: "
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def loopback(address):
    """Reports whether an address as in a URL, HOST:PORT, is of this machine. Names below .localhost never leave it (RFC 6761)."""
    try:
        name = urlsplit("//" + address).hostname or ""
    except ValueError:
        return False
    return name in LOOPBACK or name.endswith(".localhost")


def refusal(headers):
    """Why a request with these headers, lower-case names and text, is refused; None where it is not."""
    host, origin = headers.get("host", ""), headers.get("origin")
    if not loopback(host):
        return f'Host "{host[:80]}" is not a name of this machine; want 127.0.0.1 or localhost'
    if origin is not None:
        scheme, _, address = origin.partition("://")
        if scheme not in ("http", "https") or not loopback(address):
            return f'Origin "{origin[:80]}" is another site; want a page of http://localhost or http://127.0.0.1'
    elif headers.get("sec-fetch-site") == "cross-site":
        return "a page of another site sent it"
    return None


def locked(path, headers):
    """Why a request to MiniStack's own routes is refused; None where it is not. They need no signature, and change or show everything; so
    the caller names the server's random key as in a signature. Whether it is healthy may be asked by anyone."""
    if not path.startswith("/_ministack/") or path == "/_ministack/health":
        return None
    own = f"Credential={os.environ['AWS_ACCESS_KEY_ID']}/"
    return None if own in headers.get("authorization", "") else "its own routes need its key"


def single(pairs):
    """The headers that are judged. One that is there twice is judged as what no request has."""
    headers = {}
    for name, value in pairs:
        name = name.lower()
        headers[name] = "twice" if name in headers and name in ("host", "origin", "sec-fetch-site") else value
    return headers


def asgi(inner):
    """An ASGI application that refuses what another site sends before inner sees it, and lets no page read AWS's own answers."""
    async def application(scope, receive, send):
        if scope["type"] not in ("http", "websocket"):
            return await inner(scope, receive, send)
        headers = single((name.decode("latin1"), value.decode("latin1")) for name, value in scope["headers"])
        why = refusal(headers) or locked(scope.get("path", ""), headers)
        if why is None:
            return await inner(scope, receive, closed(send))
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})
        body = REFUSED + why.encode("latin1", "replace") + b"\n"
        await send({"type": "http.response.start", "status": 403, "headers": [
            (b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body})
    return application


def closed(send):
    """Takes back MiniStack's leave for every page to read every answer. What a function URL or a bucket allows by itself stays."""
    async def answer(message):
        if message["type"] == "http.response.start":
            headers = {name.lower(): value for name, value in message["headers"]}
            if headers.get(b"access-control-allow-headers") == headers.get(b"access-control-expose-headers") == b"*":
                message = {**message, "headers": [pair for pair in message["headers"] if not pair[0].lower().startswith(b"access-control-")]}
        await send(message)
    return answer
