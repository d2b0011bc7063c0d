#!/bin/sh
# MiniStack 1.5.33 with AUTH=true keeps session tags, and judges conditions on aws:PrincipalTag by them, but takes a policy variable in
# Resource for plain text. IAM fills it in before it compares (IAM User Guide, "IAM policy elements: Variables and tags"), so a role
# whose policy names objects by ${aws:PrincipalTag/app} reaches its own on AWS, and nothing here.
#
# Expected on AWS: by condition 200, by variable 200. Seen:
#
#   by condition: allowed
#   by variable: AccessDenied
#
# Needs Python 3.10 or newer and the package index. Prints what it sees, and fails if that changes.
set -eu
dir=$(mktemp -d)
server=
trap 'test -z "$server" || kill "$server" 2>/dev/null; rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check ministack==1.5.33 boto3==1.43.6

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1
(cd "$dir" && exec env AUTH=true BIND_HOST=127.0.0.1 MINISTACK_HOST=127.0.0.1 GATEWAY_PORT="$port" SFTP_ENABLED=0 \
	"$dir/venv/bin/ministack" >"$dir/log" 2>&1) &
server=$!

cat >"$dir/ask.py" <<'PY'
import json, sys, time
import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

endpoint = f"http://127.0.0.1:{sys.argv[1]}"


def client(service, **keys):
    return boto3.client(service, endpoint_url=endpoint, config=Config(s3={"addressing_style": "path"}), **keys)


for _ in range(120):
    try:
        account = client("sts").get_caller_identity()["Account"]
        break
    except EndpointConnectionError:
        time.sleep(0.5)
client("s3").create_bucket(Bucket="things")
client("s3").put_object(Bucket="things", Key="shop/a", Body=b"a")

trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
                                                 "Action": ["sts:AssumeRole", "sts:TagSession"]}]}
for name, resource, condition in (
    ("condition", "arn:aws:s3:::things/shop/*", {"StringEquals": {"aws:PrincipalTag/app": "shop"}}),
    ("variable", "arn:aws:s3:::things/${aws:PrincipalTag/app}/*", {}),
):
    role = client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": resource, "Condition": condition}]}
    client("iam").put_role_policy(RoleName=name, PolicyName="read", PolicyDocument=json.dumps(policy))
    got = client("sts").assume_role(RoleArn=role, RoleSessionName="build", Tags=[{"Key": "app", "Value": "shop"}])["Credentials"]
    session = client("s3", aws_access_key_id=got["AccessKeyId"], aws_secret_access_key=got["SecretAccessKey"], aws_session_token=got["SessionToken"])
    try:
        session.get_object(Bucket="things", Key="shop/a")
        print(f"by {name}: allowed")
    except ClientError as error:
        print(f"by {name}: {error.response['Error']['Code']}")
PY
"$dir/venv/bin/python" "$dir/ask.py" "$port" | tee "$dir/seen"
printf 'by condition: allowed\nby variable: AccessDenied\n' | cmp -s - "$dir/seen"
