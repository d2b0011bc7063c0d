#!/bin/sh
# checkov 3.3.30 reports CKV_AWS_27 ("Ensure all data stored in the SQS queue is encrypted") for a queue that is encrypted with keys of
# SQS's own (SqsManagedSseEnabled: true in CloudFormation), but not for the same queue in Terraform (sqs_managed_sse_enabled = true).
#
# Expected: encrypted either way. Seen:
#
#   CloudFormation, SqsManagedSseEnabled: FAILED
#   CloudFormation, KmsMasterKeyId: PASSED
#   Terraform, sqs_managed_sse_enabled: PASSED
#
# Needs Python 3.10 or newer and the package index. Prints what it sees, and fails if that changes.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check checkov==3.3.30

mkdir "$dir/managed" "$dir/kms" "$dir/terraform"
cat >"$dir/managed/a.template.json" <<'X'
{"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"SqsManagedSseEnabled": true}}}}
X
cat >"$dir/kms/a.template.json" <<'X'
{"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"KmsMasterKeyId": "alias/aws/sqs"}}}}
X
cat >"$dir/terraform/main.tf" <<'X'
resource "aws_sqs_queue" "queue" {
  sqs_managed_sse_enabled = true
}
X

judge() {
	"$dir/venv/bin/checkov" --directory "$dir/$2" --framework "$3" --check CKV_AWS_27 --skip-download --soft-fail --output json >"$dir/out"
	"$dir/venv/bin/python" -c 'import json, sys
results = json.load(open(sys.argv[2]))["results"]
print(sys.argv[1] + ": " + " ".join(each["check_result"]["result"] for key in ("passed_checks", "failed_checks") for each in results[key]))' "$1" "$dir/out"
}
{
	judge "CloudFormation, SqsManagedSseEnabled" managed cloudformation
	judge "CloudFormation, KmsMasterKeyId" kms cloudformation
	judge "Terraform, sqs_managed_sse_enabled" terraform terraform
} | tee "$dir/seen"
cmp -s - "$dir/seen" <<'X'
CloudFormation, SqsManagedSseEnabled: FAILED
CloudFormation, KmsMasterKeyId: PASSED
Terraform, sqs_managed_sse_enabled: PASSED
X
