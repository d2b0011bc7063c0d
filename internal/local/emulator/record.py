"""Records the requests of roles, for wire.py: SLIPWAY_REQUESTS names the file, a line of JSON a request."""
import base64
import json
import os
import threading

from ministack import app as ministack
from ministack.core.router import extract_access_key_id

import roles

OFTEN = 100  # requests of one operation by one role that are kept
LARGE = 1 << 18  # of a body: what is larger is an object of S3's, or the code of a function
SECRET = ("authorization", "x-amz-security-token")

kept, lock = {}, threading.Lock()
file = open(os.environ["SLIPWAY_REQUESTS"], "a", buffering=1)


def recording(inner):
    """The server, with a record of what it was asked."""
    async def application(scope, receive, send):
        who = caller(scope)
        if not who:
            return await inner(scope, receive, send)
        body, size = [], 0

        async def hear():
            nonlocal size
            message = await receive()
            part = message.get("body", b"")
            size += len(part)
            if size <= LARGE:
                body.append(part)
            return message

        try:
            await inner(scope, hear, send)
        finally:
            keep(who, scope, b"".join(body) if size <= LARGE else None)
    return application


def headers_of(scope):
    return {name.decode("latin1").lower(): value.decode("latin1") for name, value in scope.get("headers", [])}


def caller(scope):
    """The role's session that signed the request; None for other requests."""
    if scope["type"] != "http":
        return None
    headers = headers_of(scope)
    return roles.caller(extract_access_key_id(headers, {})) if "authorization" in headers else None


def keep(who, scope, body):
    headers = headers_of(scope)
    path = (scope.get("raw_path") or scope["path"].encode()).decode("latin1")
    parts = path.split("/")
    service = (headers["authorization"].split("Credential=")[-1].split(",")[0].split("/")[3:4] or [""])[0]
    if service == "execute-api":  # an API of its own, of which AWS has no model
        return
    # An operation, roughly: S3's differ by method and by whether a key is there, Lambda's by what follows the function.
    route = headers.get("x-amz-target") or f"{scope['method']} {min(len(parts), 4)} {parts[4] if service == 'lambda' and len(parts) > 4 else ''}"
    with lock:
        count = kept[who, service, route] = kept.get((who, service, route), 0) + 1
        if count > OFTEN:
            return
        file.write(json.dumps({
            "who": who, "service": service, "method": scope["method"], "path": path,
            "query": scope["query_string"].decode("latin1"), "headers": {k: v for k, v in headers.items() if k not in SECRET},
            "body": None if body is None else base64.b64encode(body).decode()}) + "\n")


ministack.app = recording(ministack.app)
