"""Starts MiniStack with what Slipway needs of AWS and MiniStack lacks.

Eleven things are changed, all from outside, so that the package on disk stays as its authors published it:

- answers to functions leave at once: Nagle's algorithm made a warm invoke take 52 ms, of which 42 were a wait;
- a function's process that waits for work costs nothing: MiniStack woke a thread of each ten times a second, which took 200 of them
  2,000 switches of Python's one lock each second, and held up each that was ended for as long;
- what a function has printed before it answered is all in its log, and nothing is waited for beyond that: MiniStack waits 50 ms for
  a first line and 5 for the next, and puts what comes later into the log of the next call, if there is one;
- an alias's weights are honoured by Invoke, Step Functions and function URLs, by chance, as AWS does it;
- an event that EventBridge brings to a function is tried again when that fails, and goes to the function's destination
  for failures in the end, as any asynchronous call does; MiniStack itself does so for Invoke alone;
- an execution that is started again while it runs, with the same name and input, is that execution, as on AWS: whoever got no
  answer can ask again;
- Step Functions runs a bounded number of functions at a time. A task that waits too long for its turn, or meets a concurrency limit, gets
  Lambda.TooManyRequestsException, as on AWS: MiniStack calls that Lambda.Unknown, which nobody retries;
- a Retry's MaxDelaySeconds and JitterStrategy count;
- CodeBuild's builds run (builds.py);
- every call is judged by its caller's role as AWS judges it (roles.py);
- what pages of other sites send is refused (guard.py).
"""
import fcntl
import json
import os
import random
import select
import socket
import socketserver
import struct
import termios
import threading
import time

import tether

tether.hold()

socketserver.StreamRequestHandler.disable_nagle_algorithm = True

from ministack.core import lambda_runtime as runtime  # noqa: E402
from ministack.services import eventbridge, lambda_svc as functions, stepfunctions as machines  # noqa: E402


def serve_forever(self, poll_interval=None, inner=socketserver.BaseServer.serve_forever):
    """Looks for a shutdown when something connects, which shutdown does, and else seldom."""
    inner(self, 5)


def shutdown(self, inner=socketserver.BaseServer.shutdown):
    """Ends serve_forever at once."""
    self._BaseServer__shutdown_request = True
    try:
        socket.create_connection(self.server_address, timeout=1).close()
    except OSError:
        pass  # it is closed already
    inner(self)


socketserver.BaseServer.serve_forever = serve_forever
socketserver.BaseServer.shutdown = shutdown

PATIENCE = 1.0  # seconds until a function's log ends that prints without a pause after its answer


class Output:
    """What a function prints, for MiniStack's pump to read by lines. Idle means that the pump has all that was read."""

    def __init__(self, stream, lines):
        self.stream, self.lines, self.rest = stream, lines, b""
        self.ready = select.poll()
        self.ready.register(stream, select.POLLIN)

    def readline(self):
        while b"\n" not in self.rest:
            self.lines.idle = True
            self.ready.poll()
            self.lines.idle = False  # before the pipe is empty, for whoever looks at the pipe first
            data = os.read(self.stream.fileno(), 1 << 16)
            if not data:
                line, self.rest = self.rest, b""
                return line
            self.rest += data
        line, _, self.rest = self.rest.partition(b"\n")
        return line + b"\n"

    def close(self):
        self.lines.idle = True
        self.stream.close()


def pump(worker, stream, lines, inner=runtime.ProvidedWorker._pump_output):
    """Reads what a function prints for as long as it lives."""
    inner(worker, Output(stream, lines), lines)


def unread(stream):
    """Bytes that are still in a pipe."""
    try:
        return struct.unpack("i", fcntl.ioctl(stream, termios.FIONREAD, bytes(4)))[0]
    except (OSError, ValueError):
        return 0  # the function is gone, and its pipe


def drain(worker, **_):
    """What a function has printed up to now."""
    lines, process = worker._stderr_queue, worker._proc
    end = time.monotonic() + PATIENCE
    while process and (unread(process.stdout) or not getattr(lines, "idle", False)) and time.monotonic() < end:
        time.sleep(0.001)
    return worker._drain_stderr()


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


def start(data, inner=machines._start_execution):
    """Starts an execution, or finds the one that already is what is asked for."""
    answer = inner(data)
    machine = machines._resolve_state_machine_arn(data.get("stateMachineArn", "")) or ""
    known = machines._executions.get(f"{machine.replace(':stateMachine:', ':execution:')}:{data.get('name')}")
    if answer[0] == 400 and known and known["status"] == "RUNNING" and known["input"] == data.get("input", "{}"):
        return machines.json_response({key: known[key] for key in ("executionArn", "startDate")})
    return answer


THROTTLED = "Lambda.TooManyRequestsException"
SLOTS = 32  # functions that executions run at the same time; more would take longer together than one after the other
TURN = 10.0  # seconds that a task waits for one of them

slots = threading.BoundedSemaphore(SLOTS)


def call(function, event, inner=machines._call_lambda):
    """Runs a task's function. Functions that functions call need no slot, so that none waits for its caller's."""
    if not slots.acquire(timeout=TURN):
        raise throttled(event, f"Rate Exceeded: {SLOTS} functions are running")
    try:
        return inner(function, event)
    except machines._ExecutionError as err:
        if err.error == "Lambda.Unknown" and '"__type": "TooManyRequestsException"' in err.cause:
            raise throttled(event, err.cause) from None
        raise
    finally:
        slots.release()


def throttled(event, cause):
    """The error of a task whose function was not called. A task that waits for its token would wait on, so its token hears of it too."""
    for value in event.values() if isinstance(event, dict) else ():
        waiting = machines._task_tokens.get(value) if isinstance(value, str) else None
        if waiting and not waiting["event"].is_set():
            waiting["error"] = {"Error": THROTTLED, "Cause": cause}
            waiting["event"].set()
    return machines._ExecutionError(THROTTLED, cause)


def retrier(retriers, error, counts, inner=machines._find_matching_retrier):
    """The retrier that an error meets, with the pause before its next attempt for its interval."""
    found, index = inner(retriers, error, counts)
    if found is None:
        return found, index
    pause = found.get("IntervalSeconds", 1) * found.get("BackoffRate", 2.0) ** counts.get(index, 0)
    pause = min(pause, found.get("MaxDelaySeconds", pause))
    if found.get("JitterStrategy") == "FULL":
        pause *= random.random()
    return {**found, "IntervalSeconds": pause, "BackoffRate": 1.0}, index


runtime.ProvidedWorker._pump_output = pump
runtime.ProvidedWorker._drain_stderr_bounded = drain
functions._effective_func_record_for_qualifier = record
eventbridge._dispatch_to_lambda = deliver
machines._start_execution = start
machines._call_lambda = call
machines._find_matching_retrier = retrier
functions._invoke = invoke

import builds  # noqa: E402,F401
import roles  # noqa: E402,F401

if os.environ.get("SLIPWAY_REQUESTS"):
    import record  # noqa: E402,F401

import guard  # noqa: E402
from ministack import app as server  # noqa: E402


def reply(response, request_id, include_s3_id=False, wildcard_cors=True, inner=server._with_data_plane_headers):
    """An answer of a function URL or an API, without MiniStack's leave for every page to read it."""
    return inner(response, request_id, include_s3_id, False)


server._with_data_plane_headers = reply
server.app = guard.asgi(server.app)

server.main()
