#!/bin/sh
# Looks for known vulnerabilities in what is linked (govulncheck). It exits with 75 if the database can't be reached: then nothing was
# checked. GOVULNDB names another copy of the database. Run it in the repository's root (make vulns).
govulncheck=$1
shift
db=${GOVULNDB:-https://vuln.go.dev}
said=$("$govulncheck" -db "$db" "$@" 2>&1)
result=$?
echo "$said"
case $said in
*"fetching vulnerabilities"*)
	echo "VULNERABILITIES WERE NOT CHECKED: the database $db can't be reached. Run make vulns where it can." >&2
	exit 75
	;;
esac
exit $result
