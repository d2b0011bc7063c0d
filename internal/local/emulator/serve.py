"""Starts MiniStack with what Slipway needs of AWS and MiniStack lacks.

Five things are changed, all from outside, so that the package on disk stays as its authors published it:

- answers to functions leave at once: Nagle's algorithm made a warm invoke take 52 ms, of which 42 were a wait;
- a function that says nothing is waited for 5 ms instead of 50: ours log before they answer;
- an alias's weights are honoured by Invoke, Step Functions and function URLs, by chance, as AWS does it;
- an event that EventBridge brings to a function is tried again when that fails, and goes to the function's destination
  for failures in the end, as any asynchronous call does; MiniStack itself does so for Invoke alone;
- CodeBuild's builds run (builds.py).
"""
import json
import random
import socketserver

import tether

tether.hold()

socketserver.StreamRequestHandler.disable_nagle_algorithm = True

from ministack.core import lambda_runtime as runtime  # noqa: E402
from ministack.services import eventbridge, lambda_svc as functions  # noqa: E402

QUIET = 0.005  # seconds until a function's first line
drain = runtime.Worker._drain_stderr_bounded
drain.__defaults__ = (QUIET, *drain.__defaults__[1:])


def pick(function, qualifier):
    """The version that an alias's weights choose for one request; None where it has none or they leave it alone."""
    alias = (function or {}).get("aliases", {}).get(qualifier) or {}
    weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    draw = random.random()
    for version, weight in weights.items():
        draw -= float(weight)
        if draw < 0:
            return version
    return None


def record(function, qualifier, inner=functions._effective_func_record_for_qualifier):
    """What Step Functions and function URLs run."""
    return inner(function, pick(function, qualifier) or qualifier)


async def invoke(name, event, headers, path_qualifier=None, query_params=None, inner=functions._invoke):
    """What Lambda's Invoke runs."""
    asked = path_qualifier or functions._qp_first(query_params or {}, "Qualifier") or None
    return await inner(name, event, headers, pick(functions._functions.get(name), asked) or path_qualifier, query_params)


def deliver(arn, payload, inner=eventbridge._dispatch_to_lambda):
    """Brings an event to a function. Ours are called without a qualifier; others are left to MiniStack."""
    function, config, _ = functions._get_func_record_for_ref(arn)
    if function and config and arn == config.get("FunctionArn"):
        functions.invoke_async_with_retry(function, json.loads(payload))
    else:
        inner(arn, payload)


functions._effective_func_record_for_qualifier = record
eventbridge._dispatch_to_lambda = deliver
functions._invoke = invoke

import builds  # noqa: E402,F401

from ministack.app import main  # noqa: E402

main()
