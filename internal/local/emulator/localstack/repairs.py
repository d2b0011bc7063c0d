"""What localstack-core 2026.3.0 lacks or does wrong, as far as Slipway's stack meets it."""
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile


def functions_as_processes():
    """Functions run as child processes of this machine. Modules take the lookup of the executor when they are imported, so it
    is replaced before any of them is."""
    from localstack.services.lambda_.invocation import runtime_executor

    def executor():
        from processes import Executor

        return Executor

    runtime_executor.get_runtime_executor = executor


def dynamodb(jars, java):
    """DynamoDB Local comes from our folder instead of the network. It stays in the server's session and ends with the server,
    even with one that is killed."""
    from localstack.services.dynamodb.server import DynamodbServer
    from localstack.utils.threads import FuncThread

    tied = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tied.py")
    env = os.environ | {"DDB_LOCAL_TELEMETRY": "0", "SLIPWAY_PARENT": str(os.getpid())}

    def start(self):
        command = [
            sys.executable, tied, java, f"-Xmx{self.heap_size}", "-cp", os.path.join(jars, "*"),
            "software.amazon.dynamodb.services.local.main.ServerRunner", "-port", str(self.port), "-inMemory",
        ]
        children = []

        def run(_):  # the thread that starts it must live as long: the system takes that one for its parent
            children.append(subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL))
            children[0].wait()

        thread = FuncThread(run, on_stop=lambda _: children[0].kill(), name="dynamodb-local")
        thread.start()
        return thread

    DynamodbServer.do_start_thread = start


def objects_of_its_own():
    """S3 keeps its objects in one fixed folder of /tmp, which several servers would share."""
    from localstack.services.s3 import constants

    constants.DEFAULT_S3_TMP_DIR = tempfile.mkdtemp(prefix="s3-")


def alias_weights():
    """UpdateAlias with weights answers 500: it calls the check of the weights without the alias's version."""
    from localstack.services.lambda_.provider import LambdaProvider

    check = LambdaProvider._create_routing_config_model

    def with_version(self, weights, function_version=None):
        if function_version is None:
            caller = sys._getframe(1).f_locals
            name = caller["changes"].get("function_version", caller["alias"].function_version)
            function_version = caller["function"].versions[name]
        return check(self, weights, function_version)

    LambdaProvider._create_routing_config_model = with_version


def function_urls_by_path():
    """Function URLs are told apart by host names, which don't resolve here; /_aws/lambda-url/ID/PATH leads there too."""
    from localstack.services.lambda_.urlrouter import FunctionUrlRouter

    register = FunctionUrlRouter.register_routes

    def register_both(self):
        if self.registered:
            return
        register(self)

        def endpoint(request, api_id, path=""):
            request.path = "/" + path
            return self.handle_lambda_url_invocation(request, api_id=api_id, region=os.environ["AWS_REGION"])

        for rule in ("/_aws/lambda-url/<api_id>", "/_aws/lambda-url/<api_id>/", "/_aws/lambda-url/<api_id>/<path:path>"):
            self.router.add(rule, endpoint=endpoint)

    FunctionUrlRouter.register_routes = register_both


SIGNED = re.compile(r"AWS4-HMAC-SHA256 Credential=[^/ ]+/\d{8}/[^/]+/execute-api/aws4_request")


def signed_requests():
    """A route with AWS_IAM lets everybody in. Here a signature must be there; nobody checks it."""
    from localstack.services.apigateway.next_gen.execute_api import gateway_response, handlers

    def authorize(chain, context, response):
        header = context.invocation_request["headers"].get("Authorization", "")
        if context.resource_method.get("authorizationType") == "AWS_IAM" and not SIGNED.match(header):
            raise gateway_response.MissingAuthTokenError("Missing Authentication Token")

    handlers.preprocess_request.handlers.append(authorize)


def codebuild_projects():
    """CloudFormation doesn't know them and there is no CodeBuild: a template with a project deploys, and its builds don't run."""
    from localstack.services.cloudformation import resource_provider as cloudformation

    class Project(cloudformation.ResourceProvider):
        TYPE = "AWS::CodeBuild::Project"
        SCHEMA = {
            "typeName": TYPE, "properties": {}, "createOnlyProperties": ["/properties/Name"],
            "readOnlyProperties": ["/properties/Arn"], "primaryIdentifier": ["/properties/Name"],
        }

        def done(self, request):
            model = request.desired_state
            model["Id"] = model["Name"]
            model["Arn"] = f"arn:aws:codebuild:{request.region_name}:{request.account_id}:project/{model['Name']}"
            return cloudformation.ProgressEvent(
                cloudformation.OperationStatus.SUCCESS, resource_model=model, custom_context=request.custom_context)

        create = update = delete = read = done

    load = cloudformation.ResourceProviderExecutor.try_load_resource_provider

    def load_with_projects(kind):
        return Project() if kind == Project.TYPE else load(kind)

    cloudformation.ResourceProviderExecutor.try_load_resource_provider = staticmethod(load_with_projects)


def stops_at_once():
    """StopExecution ends an execution only when its running state has ended. On AWS the execution is ABORTED at once, and what
    the state's function answers later is not heard."""
    from localstack.services.stepfunctions.backend import execution

    terminated = execution.BaseExecutionWorkerCommunication.terminated
    stop = execution.Execution.stop

    def once(self):
        if self.execution.stop_date is None:
            terminated(self)

    def stop_now(self, stop_date, error, cause):
        stop(self, stop_date, error, cause)
        if self.exec_worker and isinstance(self.exec_worker.env.program_state(), execution.ProgramStopped):
            self.error, self.cause = error, cause  # DescribeExecution would not tell
            self.exec_worker._execution_communication.terminated()

    execution.BaseExecutionWorkerCommunication.terminated = once
    execution.Execution.stop = stop_now


def ends_in_milliseconds():
    """The event of an execution's end has its dates as text. Step Functions sends milliseconds since 1970."""
    from localstack.services.stepfunctions.backend import execution

    client = execution.Execution._get_events_client

    class Client:
        def __init__(self, inner):
            self.inner = inner

        def put_events(self, Entries):
            for entry in Entries:
                detail = json.loads(entry["Detail"])
                for name in ("startDate", "stopDate"):
                    if detail.get(name):
                        detail[name] = int(datetime.datetime.fromisoformat(detail[name]).timestamp() * 1000)
                entry["Detail"] = json.dumps(detail)
            return self.inner.put_events(Entries=Entries)

    execution.Execution._get_events_client = lambda self: Client(client(self))


def schedules_that_stop():
    """A rule with a schedule goes on when it is disabled, and one that was made disabled never starts."""
    from localstack.services.events.rule import RuleService
    from localstack.services.events.scheduler import JobScheduler

    def create(self, send):
        self.job_id = JobScheduler.instance().add_job(lambda *_: self.rule.state == "ENABLED" and send(), self.schedule_cron)

    RuleService.create_schedule_job = create


def this_machine_only():
    """What pages of other sites send is refused before anything else sees it (guard.py)."""
    import guard
    from localstack.aws.app import LocalstackAwsGateway

    init = LocalstackAwsGateway.__init__

    def refuse(chain, context, response):
        why = guard.refusal(guard.single(context.request.headers.items()))
        if why is not None:
            response.status_code, response.data = 403, guard.REFUSED + why.encode("latin1", "replace") + b"\n"
            response.headers["Content-Type"] = "text/plain; charset=utf-8"
            chain.terminate()

    def guarded(self, *args, **kwargs):
        init(self, *args, **kwargs)
        self.request_handlers.insert(0, refuse)

    LocalstackAwsGateway.__init__ = guarded


def apply(jars, java):
    this_machine_only()
    functions_as_processes()
    dynamodb(jars, java)
    objects_of_its_own()
    alias_weights()
    function_urls_by_path()
    signed_requests()
    codebuild_projects()
    stops_at_once()
    schedules_that_stop()
    ends_in_milliseconds()
