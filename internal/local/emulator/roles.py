"""Judges every call by its caller's role, as AWS does.

MiniStack does so with AUTH=true: each function signs as its own role, signatures are checked, and identity and resource policies are
evaluated. This module repairs the judgements that differ from AWS, checks the signatures of the account's own keys too, which MiniStack
takes unseen, with "test" and account numbers beside them, refuses roles that a service may not assume, prints each refusal to the
server's log, and records the calls.

SLIPWAY_CALLS names a file that gets one JSON line for each distinct call: who, action, resource, allowed.
SLIPWAY_STAND_INS is a JSON list of [pattern, replacement] for resources: what a test makes under a name of its own is judged as
the resource that Slipway's policies name.
"""
import contextvars
import dataclasses
import json
import os
import re
import sys
import threading

from ministack import app
from ministack.core import iam_actions, iam_evaluator as evaluator, lambda_runtime as runtime
from ministack.core.responses import get_account_id
from ministack.services import iam, lambda_svc as functions, stepfunctions as machines, sts

MACHINE = "slipway"
ALIAS = re.compile(r"^/[0-9-]+/functions/[^/]+/aliases/[^/]+$")
OPEN = ("execute-api:Invoke", "lambda:InvokeFunctionUrl")  # may need no key; the method and the URL say so

stand_ins = [(re.compile(pattern), name) for pattern, name in json.loads(os.environ.get("SLIPWAY_STAND_INS", "[]"))]
calls = open(os.environ["SLIPWAY_CALLS"], "a", buffering=1) if os.environ.get("SLIPWAY_CALLS") else None
seen, lock = set(), threading.Lock()
session = runtime.execution_credentials
code = contextvars.ContextVar("code", default=None)  # the S3 object that UpdateFunctionCode names


def action_of(service, method, path, *rest, inner=iam_actions.extract_iam_action):
    """MiniStack calls each operation on an alias ListAliases."""
    if service == "lambda" and ALIAS.match(path):
        return {"GET": "lambda:GetAlias", "PUT": "lambda:UpdateAlias", "DELETE": "lambda:DeleteAlias"}.get(method)
    return inner(service, method, path, *rest)


def resource_of(service, method, path, headers, body, query, region, account, inner=iam_actions.extract_resource_arn):
    """Lambda judges a call with a qualifier on the version's or alias's own ARN, and UpdateFunctionCode reads S3 as its caller."""
    arn = inner(service, method, path, headers, body, query, region, account)
    if service == "logs":
        return with_stream(arn, body)
    if service == "codebuild":
        return project_of(body, region, account) or arn
    if service != "lambda":
        return arn
    code.set(object_of(body) if method == "PUT" and path.endswith("/code") else None)
    qualifier = query.get("Qualifier")
    if isinstance(qualifier, list):
        qualifier = qualifier[0] if qualifier else None
    return f"{arn}:{qualifier}" if qualifier and ":function:" in arn and arn.count(":") == 6 else arn


def project_of(body, region, account):
    """The ARN of the project whose builds a request names, which CodeBuild judges it on; None where it names none, or those of two."""
    try:
        projects = {build.split(":", 1)[0] for build in json.loads(body or b"{}").get("ids", [])}
    except (ValueError, AttributeError):
        return None
    return f"arn:aws:codebuild:{region}:{account}:project/{projects.pop()}" if len(projects) == 1 else None


def with_stream(group, body):
    """The ARN of the log stream that a request names, where MiniStack has its group's."""
    try:
        stream = json.loads(body or b"{}").get("logStreamName")
    except ValueError:
        stream = None
    return f"{group.removesuffix(':*')}:log-stream:{stream}" if stream else group


def s3_context(action, query, path="", headers=None, inner=iam_actions.s3_service_context):
    """The condition keys of a conditional write, which MiniStack doesn't know."""
    context = inner(action, query, path, headers)
    if action == "s3:PutObject":
        parts = {"uploads", "partNumber"} & set(query or {})
        context["s3:ObjectCreationOperation"] = "false" if parts else "true"
        condition = (headers or {}).get("if-none-match")
        if condition == "*":  # S3 takes no other value here
            context["s3:if-none-match"] = condition
    return context


def object_of(body):
    """The ARN of the S3 object in UpdateFunctionCode's body, or None."""
    try:
        given = json.loads(body or b"{}")
    except ValueError:
        return None
    bucket, key = given.get("S3Bucket"), given.get("S3Key")
    return f"arn:aws:s3:::{bucket}/{key}" if bucket and key else None


def as_on_aws(action, resource, region):
    """MiniStack judges a task token on "*", where AWS takes the state machine."""
    if action.startswith("states:SendTask"):
        return f"arn:aws:states:{region}:{get_account_id()}:stateMachine:{MACHINE}"
    for pattern, name in stand_ins:
        resource = pattern.sub(name, resource)
    return resource


def caller(key):
    """The session's name, which is the function's; None for the account's own user. Builds and their sessions have a name each."""
    arn = (sts._sessions.get(key) or {}).get("Arn")
    name = arn.rsplit("/", 1)[-1] if arn else None
    for prefix, shared in (("AWSCodeBuild-", "slipway-builds"), ("slipway-job-", "slipway-job")):
        if name and name.startswith(prefix):
            return shared
    return name


def enforce(key, action, service, region, resource_arn="*", service_context=None, inner=evaluator.enforce):
    """Judges one call, and what Lambda does in its name."""
    resource = as_on_aws(action, resource_arn, region)
    denied = judge(inner, key, action, service, region, resource, service_context)
    if not denied and action == "lambda:UpdateFunctionCode" and code.get():
        denied = judge(inner, key, "s3:GetObject", "s3", region, code.get(), None)
    return denied


def judge(inner, key, action, service, region, resource, context):
    if not key and action in OPEN:
        return None
    if action == "sts:AssumeRole" and trusts(resource, key):
        return None
    denied = inner(key, action, service, region, resource, context)
    who = caller(key)
    if who and not isinstance(denied, evaluator.AuthError):
        note(who, action, resource, not denied)
    return denied


def trust(role_arn, account):
    """The statements of a role's trust policy; none where there is no such role."""
    role = iam._roles.get_scoped(account, None, role_arn.rsplit("/", 1)[-1]) or {}
    policy = role.get("AssumeRolePolicyDocument") or "{}"
    return (json.loads(policy) if isinstance(policy, str) else policy).get("Statement", [])


def trusts(role_arn, key):
    """Reports whether a role's trust policy names the caller's own role: within an account no permission is needed besides."""
    account, _, assumed = ((sts._sessions.get(key) or {}).get("Arn") or "").partition(":assumed-role/")
    caller_arn = account.replace(":sts:", ":iam:") + ":role/" + assumed.split("/")[0]
    named = [statement["Principal"].get("AWS") for statement in trust(role_arn, get_account_id())
             if isinstance(statement.get("Principal"), dict)]
    return any(caller_arn in (each if isinstance(each, list) else [each]) for each in named)


VARIABLE = re.compile(r"\$\{([^}]*)\}")


def first_match(context, statements, effect, inner=evaluator._first_match):
    """MiniStack takes a policy variable in a resource, as in ${aws:PrincipalTag/app}, for plain text."""
    return inner(context, [filled(statement, context.principal_keys) for statement in statements], effect)


def filled(statement, keys):
    """The statement with its variables' values. A resource whose variable has no value matches nothing."""
    if not any("${" in resource for resource in statement.resources):
        return statement
    known = [resource for resource in statement.resources if all(name.lower() in keys for name in VARIABLE.findall(resource))]
    value = lambda match: str(keys[match.group(1).lower()])
    return dataclasses.replace(statement, resources=[VARIABLE.sub(value, resource) for resource in known] or ["none"])


def note(who, action, resource, allowed):
    """Records a call, and prints one that was refused."""
    if not allowed:
        print(f"refused: {who} may not {action} on {resource}", file=sys.stderr, flush=True)
    if not calls:
        return
    call = (who, action, resource, allowed)
    with lock:
        if call not in seen:
            seen.add(call)
            calls.write(json.dumps(dict(zip(("who", "action", "resource", "allowed"), call))) + "\n")


def assume(role_arn, service, source):
    """Raises an error where a role's trust policy doesn't let a service assume it for the resource source."""
    account, name = source.split(":")[4], role_arn.rsplit("/", 1)[-1]
    context = evaluator.EvalContext(
        principal_arn=service, principal_type="Service", principal_account=account, action="sts:AssumeRole", resource_arn=role_arn,
        region="", service_context={"aws:sourceaccount": account, "aws:sourcearn": source})
    for statement in trust(role_arn, account):
        if (statement.get("Effect") == "Allow" and evaluator._service_principal_matches(statement.get("Principal"), service)
                and evaluator._conditions_met(statement.get("Condition", {}), context)):
            return
    raise PermissionError(f"The role {name} cannot be assumed by {service}")


def credentials(config):
    """What a function signs with."""
    assume(config.get("Role", ""), "lambda.amazonaws.com", config["FunctionArn"])
    return session(config)


def build_credentials(project, build):
    """What a build signs with: a session of the project's role, named by the build's UUID as CodeBuild does."""
    source, uuid = project["arn"], build["id"].rsplit(":", 1)[-1]
    assume(project["serviceRole"], "codebuild.amazonaws.com", source)
    return session({
        "Role": project["serviceRole"], "FunctionName": "AWSCodeBuild-" + uuid,
        "FunctionArn": source.replace(":codebuild:", ":lambda:").replace(":project/", ":function:") + "-" + uuid})


def start(data, inner=machines._start_execution):
    """Step Functions assumes the machine's role for each execution."""
    arn = machines._resolve_state_machine_arn(data.get("stateMachineArn", "")) or ""
    machine = machines._state_machines.get(arn)
    try:
        if machine:
            assume(machine["roleArn"], "states.amazonaws.com", arn)
    except PermissionError as error:
        return machines.error_response_json("AccessDeniedException", str(error), 400)
    return inner(data)


pinning = contextvars.ContextVar("pinning", default=False)


def own(key):
    """Reports whether a key is the account's own: the one that this server was started with."""
    return key == os.environ["AWS_ACCESS_KEY_ID"]


def pin(*args, inner=evaluator.pin_signed_request, **kwargs):
    """Keeps a request's signature to be checked, with the account's own keys too."""
    token = pinning.set(True)
    try:
        return inner(*args, **kwargs)
    finally:
        pinning.reset(token)


evaluator.is_root_access_key = sts.is_root_access_key = own
evaluator._is_root_key = lambda key: own(key) and not pinning.get()
evaluator.pin_signed_request = app.pin_signed_request = pin

machines._start_execution = start
runtime.execution_credentials = functions.execution_credentials = credentials
iam_actions.extract_iam_action = action_of
iam_actions.extract_resource_arn = resource_of
iam_actions.s3_service_context = s3_context
evaluator.enforce = enforce
evaluator._first_match = first_match
# Calls go over TLS on AWS, which the policies of the bucket and of the queues demand; here none does.
app.pin_request_origin = lambda address, _, inner=evaluator.pin_request_origin: inner(address, True)
