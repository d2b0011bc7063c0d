"""Runs CodeBuild's builds, of which MiniStack knows only that they exist, and Step Functions' startBuild.sync, which it lacks.

A build runs here as a process of this machine: its S3 source is unpacked, and the phases' commands are run by a shell, in
order, until one fails. StopBuild, the project's time limit and the end of its execution end it. There is no container and no
cache, and the build specification has to be JSON in the project, as ours is.
"""
import contextvars
import io
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import zipfile
from urllib.parse import urlsplit

import roles
from ministack.services import codebuild, s3
from ministack.services import stepfunctions as machine

PHASES = ("INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD")
started = {}  # idempotency token -> build id


def spell(value, change):
    """The same JSON with other first letters of its keys: the API's are small, Step Functions' are capitals."""
    if isinstance(value, list):
        return [spell(each, change) for each in value]
    if isinstance(value, dict):
        return {change(key[:1]) + key[1:]: spell(each, change) for key, each in value.items()}
    return value


def start(data, inner=codebuild._start_build):
    """What StartBuild runs."""
    token = data.get("idempotencyToken")
    if token in started:
        return codebuild.json_response({"build": codebuild._builds[started[token]]})
    status, headers, body = inner(data)
    if status >= 400:
        return status, headers, body
    build = codebuild._builds[json.loads(body)["build"]["id"]]
    if token:
        started[token] = build["id"]
    project = codebuild._projects[build["projectName"]]
    variables = project["environment"].get("environmentVariables", []) + data.get("environmentVariablesOverride", [])
    build.pop("endTime")
    build.update(buildStatus="IN_PROGRESS", currentPhase="SUBMITTED", phases=[],
                 environment=project["environment"] | {"environmentVariables": variables})
    work = contextvars.copy_context().run  # whose account it is
    threading.Thread(target=work, args=[run, build, project, {v["name"]: v["value"] for v in variables}], daemon=True).start()
    return codebuild.json_response({"build": build})


def run(build, project, variables):
    folder = tempfile.mkdtemp(prefix="codebuild-")
    deadline = time.monotonic() + 60 * project["timeoutInMinutes"]
    status = "FAULT"
    try:
        bucket, key = project["source"]["location"].split("/", 1)
        zipfile.ZipFile(io.BytesIO(s3._get_object_data(bucket, key))).extractall(folder)  # without the files' modes
        keep = ("PATH", "HOME", "LANG", "AWS_ENDPOINT_URL", "AWS_REGION")
        env = {name: os.environ[name] for name in keep if name in os.environ} | roles.build_credentials(project, build)
        env |= variables | {"CODEBUILD_BUILD_ID": build["id"], "TMPDIR": folder, "SLIPWAY_CACHE": ""}
        env["SLIPWAY_API"] = here(env.get("SLIPWAY_API", ""))
        spec = json.loads(project["source"]["buildspec"])
        for phase in PHASES:
            status = "SUCCEEDED"
            for command in spec["phases"].get(phase.lower(), {}).get("commands", []):
                status = step(build, phase, command, folder, env, deadline)
                if status != "SUCCEEDED":
                    return
    finally:
        sweep(folder)
        shutil.rmtree(folder, ignore_errors=True)
        build.update(buildStatus=status, currentPhase="COMPLETED", endTime=int(time.time()))


def here(address):
    """Where the emulator answers for a REST API's address on AWS."""
    url = urlsplit(address)
    api, _, domain = (url.hostname or "").partition(".")
    return f"{os.environ['AWS_ENDPOINT_URL']}/_aws/execute-api/{api}{url.path}" if domain.startswith("execute-api.") else address


def step(build, phase, command, folder, env, deadline):
    """One command. It is in a process group of its own, inside of the server's session."""
    if build.get("stop"):
        return "STOPPED"
    begin = int(time.time())
    build["currentPhase"] = phase
    process = subprocess.Popen(["/bin/sh", "-c", command], cwd=folder, env=env, stdin=subprocess.DEVNULL, preexec_fn=os.setpgrp)
    status = ""
    while process.poll() is None:
        status = "STOPPED" if build.get("stop") else "TIMED_OUT" if time.monotonic() > deadline else ""
        if status:
            end(process)
        time.sleep(0.05)
    status = status or ("FAILED" if process.returncode else "SUCCEEDED")
    said = f"Error while executing command: {command}. Reason: exit status {process.returncode}"
    build["phases"].append({"phaseType": phase, "phaseStatus": status, "startTime": begin, "endTime": int(time.time()),
                            "contexts": [{"statusCode": "COMMAND_EXECUTION_ERROR", "message": said}] if status == "FAILED" else []})
    return status


def end(process):
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
            process.wait(timeout=2)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass


def sweep(folder):
    """Ends what a container's end would: whatever still works in the build's folder. A busy machine may leave the runner no
    time to do so itself."""
    for pid in os.listdir("/proc") if os.path.isdir("/proc") else []:
        try:
            if pid.isdigit() and (os.readlink(f"/proc/{pid}/cwd") + "/").startswith(folder + "/"):
                os.kill(int(pid), signal.SIGKILL)
        except OSError:
            pass  # it has ended meanwhile, or is somebody else's


def stop(data):
    """What StopBuild runs: it asks, and the build ends soon after."""
    build = codebuild._builds.get(data.get("id", ""))
    if not build:
        return codebuild.error_response_json("ResourceNotFoundException", f"Build not found: {data.get('id')}", 400)
    build["stop"] = True
    return codebuild.json_response({"build": build})


def start_and_wait(resource, given):
    """arn:aws:states:::codebuild:startBuild.sync."""
    status, _, body = start(spell(given, str.lower))
    answer = json.loads(body)
    if status >= 400:
        raise machine._ExecutionError("CodeBuild." + answer.get("__type", "CodeBuildException"), answer.get("message", ""))
    build = codebuild._builds[answer["build"]["id"]]
    variables = {v["Name"]: v["Value"] for v in given.get("EnvironmentVariablesOverride", [])}
    execution = machine._executions.get(variables.get("SLIPWAY_EXECUTION", ""), {"status": "RUNNING"})
    while build["buildStatus"] == "IN_PROGRESS":
        if execution["status"] != "RUNNING":
            stop(build)
        time.sleep(0.05)
    answer = {"Build": spell(build, str.upper)}
    if build["buildStatus"] != "SUCCEEDED":
        raise machine._ExecutionError("States.TaskFailed", json.dumps(answer))
    return answer


codebuild._start_build = start
codebuild._stop_build = stop
machine._SERVICE_DISPATCH["arn:aws:states:::codebuild:startBuild"] = start_and_wait
