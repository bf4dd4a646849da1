#!/bin/sh
# install.sh "EXTRA EXTRA ...": what uv.lock says, each file checked against its hash there, and the wheel in dist/.
set -eu
set -- $1 # one word for each
for extra; do
    set -- "$@" --extra "$extra"
    shift
done
uv sync --quiet --frozen --no-dev --no-editable --no-install-project "$@"
uv pip install --quiet --python "$UV_PROJECT_ENVIRONMENT" --no-deps dist/*.whl
rm -f "$UV_PROJECT_ENVIRONMENT/.lock" # anybody may write to it
