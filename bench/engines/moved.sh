#!/bin/sh
# Prints the pinned and the newest version of each flag client and engine that the tests run, and exits with 1 if one has moved.
# A newest version that can't be read (a registry that lists no versions, a tool that isn't installed) is shown as unknown.
set -u
cd "$(dirname "$0")"
moved=0

compare() { # name, pinned, newest
	printf '%-62s %-10s %s\n' "$1" "$2" "${3:-unknown}"
	[ -z "$3" ] || [ "$2" = "$3" ] || moved=1
}

go_module() { # folder, module
	pinned=$(go -C "$1" list -m -f '{{.Version}}' "$2")
	compare "go $2" "$pinned" "$(go -C "$1" list -m -f '{{.Version}}' "$2@latest" 2>/dev/null)"
}

npm_package() {
	pinned=$(node -p "require('./node/package.json').dependencies['$1']")
	compare "npm $1" "$pinned" "$(npm view "$1" version 2>/dev/null)"
}

pypi_package() {
	pinned=$(sed -n "s/^$1==\([^ ]*\).*/\1/p" python/requirements.txt)
	compare "pypi $1" "$pinned" "$(python3 -m pip index versions --disable-pip-version-check "$1" 2>/dev/null | sed -n '1s/.*(\(.*\))/\1/p')"
}

crate() {
	pinned=$(sed -n "s/^$1 = \"=\(.*\)\"/\1/p" rust/Cargo.toml)
	compare "crate $1" "$pinned" "$(cd / && cargo info --quiet "$1" 2>/dev/null | sed -n 's/^version: \([^ ]*\).*/\1/p')"
}

maven_artifact() { # group, artifact
	pinned=$(sed -n "/<artifactId>$2</{n;s/.*<version>\(.*\)<.*/\1/p;}" java/pom.xml)
	newest=$(mvn --batch-mode org.apache.maven.plugins:maven-dependency-plugin:3.8.1:get -Dartifact="$1:$2:RELEASE" -Dtransitive=false 2>/dev/null |
		sed -n "s/.*$2-\([0-9.]*\)\.jar.*/\1/p" | tail -1)
	compare "maven $1:$2" "$pinned" "$newest"
}

go_module . github.com/open-feature/flagd/core
go_module ../openfeature github.com/open-feature/go-sdk-contrib/providers/flagd
go_module ../openfeature github.com/open-feature/go-sdk-contrib/providers/ofrep
npm_package @openfeature/flagd-core
pypi_package openfeature-flagd-core
crate flagd-evaluation-engine
maven_artifact dev.openfeature.contrib.providers flagd
exit $moved
