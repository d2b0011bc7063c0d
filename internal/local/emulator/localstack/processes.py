"""Runs a function's bootstrap as a child process of this machine, where LocalStack would start a container.

An execution environment is one process and the Lambda Runtime API that it asks for events
(https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html), on a port of its own. LocalStack hands an environment
one event at a time.
"""
import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from localstack import config
from localstack.services.lambda_.invocation.executor_endpoint import StatusErrorException
from localstack.services.lambda_.invocation.lambda_models import InvocationResult
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor

HOST = "127.0.0.1"
RUNTIME = "/2018-06-01/runtime/"
INVOCATION = RUNTIME + "invocation/"
START_LIMIT = 20  # seconds until a process asks for its first event


def failure(kind, message):
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


class Call:
    """One event, and the answer that a process owes."""

    def __init__(self, payload, limit):
        self.id, self.payload = payload["invoke-id"], payload
        self.deadline = time.time() + limit
        self.answer = Future()  # (body, whether it is an error)

    def headers(self):
        return {
            "Lambda-Runtime-Aws-Request-Id": self.id,
            "Lambda-Runtime-Deadline-Ms": str(int(self.deadline * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": self.payload["invoked-function-arn"],
            "Lambda-Runtime-Trace-Id": self.payload["trace-id"],
        }


class Api(BaseHTTPRequestHandler):
    """The Runtime API of one process."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def reply(self, status, body=b"", headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self):
        """The request's body, and the trailers that a streamed answer tells its error in."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0)), {}
        parts, trailers = [], {}
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while line := self.rfile.readline().decode().strip():
            name, _, value = line.partition(":")
            trailers[name.lower()] = value.strip()
        return b"".join(parts), trailers

    def do_GET(self):
        if self.path != INVOCATION + "next":
            return self.reply(404)
        call = self.server.process.next()
        if call is None:
            self.close_connection = True
            return None
        return self.reply(200, call.payload["payload"].encode(), call.headers())

    def do_POST(self):
        body, trailers = self.body()
        if self.path == RUNTIME + "init/error":
            self.server.process.fail(body)
            return self.reply(202)
        call, _, what = self.path.removeprefix(INVOCATION).partition("/")
        failed = what == "error" or "lambda-runtime-function-error-type" in trailers
        if what not in ("response", "error") or not self.server.process.finish(call, body, failed):
            return self.reply(400, failure("InvalidRequestID", "nobody waits for this answer"))
        return self.reply(202)


class Process:
    """A running bootstrap with its Runtime API. A new process gets a new one: what a killed one still sends reaches nobody."""

    def __init__(self, task, env, log):
        self.calls, self.ready, self.call = queue.SimpleQueue(), Future(), None
        self.server = ThreadingHTTPServer((HOST, 0), Api)
        self.server.daemon_threads, self.server.process = True, self
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        env = env | {"AWS_LAMBDA_RUNTIME_API": f"{HOST}:{self.server.server_port}"}
        try:  # a group of its own, and the server's session, by which whoever stops the cloud finds it
            self.child = subprocess.Popen(
                [f"{task}/bootstrap"], cwd=task, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0)
        except OSError as e:
            self.close()
            raise StatusErrorException("no start", failure("Runtime.InvalidEntrypoint", f"Error: bootstrap can't be started: {e}")) from e
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        code = self.child.wait()
        how = f"signal: {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        self.fail(failure("Runtime.ExitError", f"Error: Runtime exited with error: {how}"))
        if call := self.call:
            self.finish(call.id, failure("Runtime.ExitError", f"RequestId: {call.id} Error: Runtime exited with error: {how}"), True)
        self.close()

    def close(self):
        self.calls.put(None)
        self.server.shutdown()
        self.server.server_close()

    def next(self):
        """Waits for an event; None when the process is to end."""
        if not self.ready.done():
            self.ready.set_result(None)
        return self.calls.get()

    def fail(self, body):
        """Tells whoever waits for the process to be ready that it never will be."""
        if not self.ready.done():
            self.ready.set_exception(StatusErrorException("failed to start", body))

    def hand(self, call):
        self.call = call
        self.calls.put(call)
        if not self.alive():
            raise StatusErrorException("ended", failure("Runtime.ExitError", f"RequestId: {call.id} Error: Runtime exited"))

    def finish(self, id, body, failed):
        """Takes an answer. It tells whether anybody waited for it: as on AWS, one after the deadline is lost."""
        call = self.call
        if call is None or call.id != id or call.answer.done() or time.time() >= call.deadline:
            return False
        self.call = None
        limit = config.LAMBDA_LIMITS_MAX_FUNCTION_PAYLOAD_SIZE_BYTES
        if not failed and len(body) > limit:
            body, failed = failure("Function.ResponseSizeTooLarge", f"Response payload size exceeded maximum allowed payload size ({limit} bytes)."), True
        call.answer.set_result((body, failed))
        return True

    def alive(self):
        return self.child.poll() is None

    def kill(self):
        self.call = None
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


class Executor(RuntimeExecutor):
    """What LocalStack asks to start, use and stop an execution environment."""

    def __init__(self, id, function_version):
        super().__init__(id=id, function_version=function_version)
        self.folder = Path(tempfile.mkdtemp(prefix="function-"))
        self.log = open(self.folder / "log", "a+b", buffering=0)
        self.process = None

    def start(self, env_vars):
        self.task = str(self.function_version.config.code.get_unzipped_code_location())
        os.chmod(f"{self.task}/bootstrap", 0o755)
        (self.folder / "tmp").mkdir()
        own = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.env = own | {"TMPDIR": str(self.folder / "tmp")} | {name: str(value) for name, value in env_vars.items()}
        self.env["LAMBDA_TASK_ROOT"] = self.task
        self.spawn()

    def spawn(self):
        self.process = Process(self.task, self.env, self.log)
        self.process.ready.result(START_LIMIT)

    def stop(self):
        if self.process:
            self.process.fail(failure("Runtime.ExitError", "Error: stopped"))
            self.process.kill()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def invoke(self, payload):
        id, limit = payload["invoke-id"], self.function_version.config.timeout
        begin = self.log.seek(0, os.SEEK_END)
        self.write(f"START RequestId: {id} Version: {self.function_version.id.qualifier}\n")
        start = time.time()
        try:
            if not self.process.alive():  # it crashed, or was killed for being late
                self.spawn()
            call = Call(payload, limit)
            self.process.hand(call)
            body, failed = call.answer.result(limit)
        except StatusErrorException as e:
            body, failed = e.payload, True
        except Late:
            self.process.kill()
            text = f"Task timed out after {limit:.2f} seconds"
            self.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S.000Z', time.gmtime())} {id} {text}\n\n")
            body, failed = failure("Sandbox.Timedout", f"RequestId: {id} Error: {text}"), True
        took = (time.time() - start) * 1000
        self.write(f"END RequestId: {id}\nREPORT RequestId: {id}\tDuration: {took:.2f} ms\tBilled Duration: {int(took) + 1} ms\t"
                   f"Memory Size: {self.function_version.config.memory_size} MB\n")
        self.log.seek(begin)
        return InvocationResult(id, body, failed, self.log.read().decode("utf-8", "replace"))

    def write(self, text):
        self.log.write(text.encode())

    def get_logs(self):
        try:
            return (self.folder / "log").read_text(errors="replace")
        except OSError:
            return ""

    def get_address(self):
        return HOST

    def get_endpoint_from_executor(self):
        return HOST  # as a number, by which SDKs choose path-style addresses of S3

    def get_runtime_endpoint(self):
        return f"http://{HOST}:{config.GATEWAY_LISTEN[0].port}/_localstack_lambda/{self.id}"

    @classmethod
    def prepare_version(cls, function_version):
        if function_version.config.code:
            function_version.config.code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version):
        pass
