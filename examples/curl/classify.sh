#!/bin/sh
# Classifies photos with curl, 7.76 or later: see README.md.
set -eu

usage() {
  echo "usage: $0 raw PHOTO | form PHOTO | batch PHOTO... | job PHOTO..." >&2
  exit 2
}

[ $# -ge 2 ] || usage
how=$1
shift
url=${URL:-http://127.0.0.1:8000}
query=${MODEL:+?model=$MODEL}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

# In a file, which only its owner may read: a command line is seen by everybody on the machine.
: > "$scratch/headers"
if [ -n "${KEY:-}" ]; then echo "X-API-Key: $KEY" > "$scratch/headers"; fi

# ask CURL-ARGUMENTS...: the answer in $scratch/answer, its head in $scratch/head. curl tries again
# what may pass, after as many seconds as the server says. A refusal is shown, and ends the script.
ask() {
  if curl --silent --show-error --fail-with-body --max-time 60 --retry 3 --retry-max-time 60 \
    --header "@$scratch/headers" --header 'X-Request-Timeout-Ms: 30000' \
    --dump-header "$scratch/head" --output "$scratch/answer" "$@" 2> "$scratch/said"; then
    return
  fi
  if [ -s "$scratch/answer" ]; then cat "$scratch/answer" >&2; else cat "$scratch/said" >&2; fi
  echo >&2
  exit 1
}

# form FIELD PHOTO...: the photos as fields of a form, in $scratch/form for `curl --config`.
form() {
  field=$1
  shift
  for photo in "$@"; do
    # Twice: once for the form, once for the file of options.
    name=$(printf '%s' "$photo" | sed 's/[\\"]/\\&/g; s/[\\"]/\\&/g')
    printf 'form = "%s=@\\"%s\\""\n' "$field" "$name"
  done > "$scratch/form"
}

wait_for() {
  tries=0
  ask "$url$1"
  while grep -qE '"state": ?"(queued|running)"' "$scratch/answer"; do
    tries=$((tries + 1))
    if [ $tries -gt 600 ]; then
      echo "still not done: curl $url$1" >&2
      exit 1
    fi
    sleep 1
    ask "$url$1"
  done
}

case $how in
  raw) # The bytes themselves tell which kind of image it is.
    ask --data-binary "@$1" --header 'Content-Type: image/*' "$url/v1/classify$query"
    ;;
  form)
    form file "$1"
    ask --config "$scratch/form" "$url/v1/classify$query"
    ;;
  batch)
    form files "$@"
    ask --config "$scratch/form" "$url/v1/batch-classify$query"
    ;;
  job)
    form files "$@"
    # Tried again, it is the same job: the server knows it by this key.
    key=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    ask --config "$scratch/form" --header "Idempotency-Key: $key" "$url/v1/jobs$query"
    job=$(tr -d '\r' < "$scratch/head" | sed -n 's/^[Ll]ocation: *//p' | tail -n 1)
    wait_for "$job"
    ask --header 'Accept: application/x-ndjson' "$url$job/results"
    ;;
  *) usage ;;
esac
cat "$scratch/answer"
echo
