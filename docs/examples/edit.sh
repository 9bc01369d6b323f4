#!/bin/sh
# Removes the background of a picture: sh edit.sh picture.jpg cutout.png. It needs curl.
set -eu
source=$1 target=$2
address=${API_URL:-http://127.0.0.1:8000} token=${API_TOKEN:-me}
key=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

field() { # prints the text of a field of a flat JSON answer
  sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" "$folder/answer"
}

# Sends a request until the server is no longer busy, and leaves its answer. With the key it runs once.
send() {
  tries=0
  while :; do
    : > "$folder/headers"
    status=$(curl -sS -o "$folder/answer" -D "$folder/headers" -w '%{http_code}' "$@") || status=000
    case $status in 000 | 429 | 503) ;; *) break ;; esac
    tries=$((tries + 1))
    [ "$tries" -lt 20 ] || break
    pause=$(tr -d '\r' < "$folder/headers" | tr A-Z a-z | sed -n 's/^retry-after: *\([0-9][0-9]*\)$/\1/p')
    sleep "${pause:-2}"
  done
  case $status in
    2*) ;;
    460) echo "The server cannot fetch $source: $(field details)" >&2; exit 1 ;;
    *) echo "It failed ($status): $(field details)" >&2; exit 1 ;;
  esac
}

case $source in http*) image="image=$source" ;; *) image="image=@$source" ;; esac
send "$address/v2/image/edit/remove_background" -H "api_token: $token" -H "Idempotency-Key: $key" -F "$image"
request_id=$(field request_id)
waited=0
while :; do
  send "$address/v2/status/$request_id" -H "api_token: $token"
  case $(field status) in
    COMPLETED) break ;;
    IN_PROGRESS) ;;
    *) echo "It failed: $(field details)" >&2; exit 1 ;;
  esac
  waited=$((waited + 1))
  [ "$waited" -lt 600 ] || { echo "There is no result after 10 minutes." >&2; exit 1; }
  sleep 1
done
link=$(field image_url)
send "$link"
cp "$folder/answer" "$target"
