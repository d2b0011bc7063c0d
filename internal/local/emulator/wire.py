"""Checks recorded requests against AWS's own service models, as botocore has them: wire.py FILE.

A request must be an operation of its service, and have the members that the model has and no others, with their types, enumerations,
lengths, ranges and patterns; what is required must be there. It prints a line for each fault, then what was checked, and exits
with 1 where there was a fault. What the emulator takes and AWS refuses shows here.
"""
import base64
import collections
import json
import re
import sys
from urllib.parse import parse_qsl, unquote

import botocore.loaders

NAMES = {"states": "stepfunctions"}  # a signature's service, where botocore calls it otherwise
OURS = re.compile(r"^(x-amz-(content-sha256|date|security-token|user-agent|target|decoded-content-length|trailer)|amz-sdk-.*)$")
TYPES = {"string": str, "boolean": bool, "integer": int, "long": int, "float": (int, float), "double": (int, float),
         "list": list, "map": dict, "structure": dict, "blob": str, "timestamp": (int, float, str)}


class Model:
    """One service's model, and how its requests are read."""

    def __init__(self, name, loader):
        self.model = loader.load_service_model(name, "service-2")
        self.shapes, self.operations = self.model["shapes"], self.model["operations"]
        self.protocol = self.model["metadata"]["protocol"]
        self.faults = []

    def check(self, request):
        """Returns the request's operation and its faults."""
        self.faults = []
        body = base64.b64decode(request["body"]) if request["body"] is not None else None
        name, given = getattr(self, self.protocol.replace("-", "_"))(request, body)
        if name is None:
            return "?", [given]
        operation = self.operations[name]
        if "input" in operation:
            self.value(name, self.shapes[operation["input"]["shape"]], given)
        return name, self.faults

    def fault(self, path, text):
        self.faults.append(f"{path}: {text}")

    def value(self, path, shape, value):
        kind = shape["type"]
        if kind == "structure" and shape.get("document"):
            return
        if not isinstance(value, TYPES[kind]) or kind in ("integer", "long", "float", "double") and isinstance(value, bool):
            return self.fault(path, f"{json.dumps(value)[:60]} is no {kind}")
        getattr(self, kind, lambda *_: None)(path, shape, value)

    def structure(self, path, shape, value):
        members = shape["members"]
        for name in shape.get("required", []):
            if value.get(name) is None:
                self.fault(path, f"lacks {name}")
        for name, each in value.items():
            if name not in members:
                self.fault(path, f"has {name}, which there is not")
            elif each is not None:
                self.value(f"{path}.{name}", self.shapes[members[name]["shape"]], each)

    def list(self, path, shape, value):
        self.bounds(path, shape, len(value), "members")
        for each in value:
            self.value(f"{path}[]", self.shapes[shape["member"]["shape"]], each)

    def map(self, path, shape, value):
        self.bounds(path, shape, len(value), "members")
        for key, each in value.items():
            self.value(f"{path} key", self.shapes[shape["key"]["shape"]], key)
            self.value(f"{path}{{}}", self.shapes[shape["value"]["shape"]], each)

    def string(self, path, shape, value):
        if "enum" in shape and value not in shape["enum"]:
            self.fault(path, f"{value!r} is none of {', '.join(shape['enum'])}")
        self.bounds(path, shape, len(value), "characters")
        try:
            if "pattern" in shape and not re.fullmatch(shape["pattern"], value, re.DOTALL):
                self.fault(path, f"{value[:60]!r} doesn't match {shape['pattern']}")
        except re.error:
            pass  # Java's own syntax, which Python doesn't know

    def integer(self, path, shape, value):
        self.bounds(path, shape, value, "")

    long = float = double = integer

    def blob(self, path, shape, value):
        try:
            self.bounds(path, shape, len(base64.b64decode(value, validate=True)), "bytes")
        except ValueError:
            self.fault(path, "is no base64")

    def bounds(self, path, shape, size, unit):
        if not shape.get("min", size) <= size <= shape.get("max", size):
            self.fault(path, f"{size} {unit}".strip() + f"; want {shape.get('min', 0)} to {shape.get('max', 'any')}")

    # The protocols: each returns the operation's name and its parameters, or None and what is wrong.

    def json(self, request, body):
        prefix, _, name = request["headers"].get("x-amz-target", "").rpartition(".")
        if prefix != self.model["metadata"]["targetPrefix"] or name not in self.operations:
            return None, f"x-amz-target {request['headers'].get('x-amz-target')!r} is no operation"
        if body is None:
            return None, "the body is larger than what is recorded"
        try:
            return name, json.loads(body or b"{}")
        except ValueError:
            return None, f"{name}: the body is no JSON"

    def query(self, request, body):
        form = dict(parse_qsl((body or b"").decode(), keep_blank_values=True))
        name, version = form.pop("Action", None), form.pop("Version", None)
        if name not in self.operations or version != self.model["metadata"]["apiVersion"]:
            return None, f"Action {name!r} of {version!r} is no operation"
        return name, self.unflatten(self.shapes[self.operations[name]["input"]["shape"]], form, "")

    def unflatten(self, shape, form, prefix):
        """Reads the members whose names begin with prefix out of a form."""
        inside = {key[len(prefix):]: value for key, value in form.items() if key.startswith(prefix)}
        if shape["type"] == "structure":
            found = {}
            for name in {key.split(".")[0] for key in inside}:
                member = self.shapes.get(shape["members"].get(name, {}).get("shape"))
                whole = member is None or member["type"] not in ("structure", "list", "map")
                found[name] = self.scalar(member, inside.get(name)) if whole else self.unflatten(member, inside, name + ".")
            return found
        numbered = sorted({key.split(".")[1] for key in inside if "." in key}, key=int)
        first = next(iter(inside)).split(".")[0] if inside else ""
        if shape["type"] == "list":
            return [self.one(self.shapes[shape["member"]["shape"]], inside, f"{first}.{n}") for n in numbered]
        key, value = shape["key"].get("locationName", "key"), shape["value"].get("locationName", "value")
        return {inside.get(f"{first}.{n}.{key}", ""): self.one(self.shapes[shape["value"]["shape"]], inside, f"{first}.{n}.{value}") for n in numbered}

    def one(self, shape, form, at):
        return self.unflatten(shape, form, at + ".") if shape["type"] in ("structure", "list", "map") else self.scalar(shape, form.get(at))

    def rest_json(self, request, body):
        return self.rest(request, body)

    def rest_xml(self, request, body):
        return self.rest(request, body)

    def rest(self, request, body):
        name, labels = self.route(request)
        if name is None:
            return None, f"{request['method']} {request['path']} is no operation"
        shape = self.shapes[self.operations[name].get("input", {}).get("shape", "")] if "input" in self.operations[name] else {"members": {}}
        given, query, headers = {}, dict(parse_qsl(request["query"], keep_blank_values=True)), dict(request["headers"] or {})
        fixed = dict(parse_qsl(self.operations[name]["http"]["requestUri"].partition("?")[2], keep_blank_values=True))
        for key in ("x-id", *fixed):
            query.pop(key, None)
        inbody = {}
        for member, reference in shape["members"].items():
            target, at = self.shapes[reference["shape"]], reference.get("locationName", member)
            where = reference.get("location")
            if where == "uri" and at in labels:
                given[member] = self.scalar(target, labels[at])
            elif where == "querystring" and at in query:
                given[member] = self.scalar(target, query.pop(at))
            elif where == "header" and at.lower() in headers:
                given[member] = self.scalar(target, headers.pop(at.lower()))
            elif where == "headers":
                names = [key for key in headers if key.startswith(at.lower())]
                if names:
                    given[member] = {key[len(at):]: headers.pop(key) for key in names}
            elif where is None:
                inbody[at] = member
        self.faults += [f"{name}: has the query parameter {key}, which there is not" for key in query]
        self.faults += [f"{name}: has the header {key}, which there is not" for key in headers if key.startswith("x-amz-") and not OURS.match(key)]
        payload = shape.get("payload")
        if payload and self.shapes[shape["members"][payload]["shape"]]["type"] in ("blob", "string"):
            given.pop(payload, None)
        elif self.protocol == "rest-json" and body:
            for key, value in json.loads(body).items():
                given[inbody.get(key, key)] = value
        return name, given

    def route(self, request):
        """Finds the operation with the most fixed parts in its URI; AWS's routers do the same."""
        query, best = dict(parse_qsl(request["query"], keep_blank_values=True)), (None, {})
        most = -1
        for name, operation in self.operations.items():
            http = operation["http"]
            uri, _, fixed = http["requestUri"].partition("?")
            needed = dict(parse_qsl(fixed, keep_blank_values=True))
            if http["method"] != request["method"] or any(query.get(key) != value for key, value in needed.items()):
                continue
            if query.get("x-id", name) != name:
                continue
            pattern = re.escape(uri).replace(r"\{", "{").replace(r"\}", "}").replace(r"\+}", "+}")
            pattern = re.sub(r"\{(\w+)\+\}", r"(?P<\1>.+)", pattern)
            match = re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern).rstrip("/") + "/?", request["path"])
            required = self.shapes[operation["input"]["shape"]].get("required", []) if "input" in operation else []
            score = len(uri.split("/")) * 10 + len(needed) - uri.count("{") + (query.get("x-id") == name) * 100 - len(required) / 100
            if match and score > most:
                most, best = score, (name, {key: unquote(value) for key, value in match.groupdict().items()})
        return best

    @staticmethod
    def scalar(shape, text):
        """A text as the value that a member of a form, a path or a header stands for."""
        kind = shape["type"] if shape else "string"
        if kind in ("integer", "long") and re.fullmatch(r"-?\d+", text or ""):
            return int(text)
        if kind == "boolean" and text in ("true", "false"):
            return text == "true"
        return text


def main(file):
    loader, models = botocore.loaders.Loader(), {}
    faults, checked = collections.Counter(), collections.Counter()
    with open(file) as lines:
        for line in lines:
            request = json.loads(line)
            service = NAMES.get(request["service"], request["service"])
            if service == "execute-api":
                continue  # a REST API's own, of which AWS has no model
            if service not in models:
                models[service] = Model(service, loader)
            name, found = models[service].check(request)
            checked[f"{service} {name}"] += 1
            for fault in found:
                faults[f"{request['who']}: {service} {fault}"] += 1
    for fault in sorted(faults):
        print(fault)
    print(f"{sum(checked.values())} requests of {len(checked)} operations: {', '.join(sorted(checked))}")
    sys.exit(1 if faults or not checked else 0)


if __name__ == "__main__":
    main(sys.argv[1])
