#!/bin/sh
# Writes into each requirement file the hashes of all files of the pinned versions, for every platform and Python, and into jars.sha256
# those of the jars. They come from the configured registries: compare the changes with the versions that you changed.
# Usage: hashes.sh UV (make hashes)
set -eu
uv=$1
cd "$(dirname "$0")/../.."
here=$PWD
emulator=internal/local/emulator
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

hashes() { # file, the oldest Python that it is installed on, uv's options
	file=$1 python=$2
	shift 2
	sed -e '/^ *--hash=/d' -e '/^ *#/d' -e 's/ *\\$//' "$file" > "$work/pins.txt"
	"$uv" pip compile --quiet --no-config --no-deps --universal --python-version "$python" --generate-hashes \
		--no-annotate --custom-compile-command "make hashes" "$@" "$work/pins.txt" --output-file "$work/hashed.txt"
	mv "$work/hashed.txt" "$file"
	rm "$work/pins.txt"
}

jars() { # folder with a pom.xml
	mvn --quiet --batch-mode --strict-checksums --file "$1/pom.xml" \
		org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies -DoutputDirectory="$work/jars" -DincludeScope=runtime
	(cd "$work" && python3 "$here/$1/jars.py" write)
	mv "$work/jars.sha256" "$1/jars.sha256"
}

hashes "$emulator/uv.txt" 3.11 --only-binary :all:
hashes "$emulator/requirements.txt" 3.10 --only-binary :all:
hashes "$emulator/checkov.txt" 3.11 --only-binary :all:
hashes "$emulator/sam.txt" 3.11 --only-binary :all:
hashes "$emulator/schemathesis.txt" 3.11 --only-binary :all:
hashes "$emulator/localstack/requirements.txt" 3.12 --only-binary :all:
hashes "$emulator/localstack/sdists.txt" 3.12
hashes bench/engines/python/requirements.txt 3.10 --only-binary :all:
jars "$emulator/localstack"
