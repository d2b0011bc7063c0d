"""Evaluates flags with flagd's in-process core for Python. Reads {"documents": [{"document", "asks"}]} from standard input
and prints a list with one {"refused"} or {"answers"} for each document."""

import json
import sys

from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import OpenFeatureError

DEFAULTS = {"boolean": False, "string": "", "integer": 0, "float": 0.0, "object": {}}


def ask(core, question):
    attributes = dict(question["context"])
    context = EvaluationContext(attributes.pop("targetingKey", None), attributes)
    resolve = getattr(core, f"resolve_{question['type']}_value")

    try:
        found = resolve(question["key"], DEFAULTS[question["type"]], context)
    except OpenFeatureError as error:
        return {"error": str(error.error_code.value)}

    return {"value": found.value, "variant": found.variant or "", "reason": str(found.reason.value)}


def answer(document, asks):
    core = FlagdCore()
    try:
        core.set_flags(document)
    except Exception as error:  # what it raises for a document differs by what is wrong with it
        return {"refused": str(error) or type(error).__name__}

    return {"answers": [ask(core, question) for question in asks]}


print(json.dumps([answer(d["document"], d["asks"]) for d in json.load(sys.stdin)["documents"]]))
