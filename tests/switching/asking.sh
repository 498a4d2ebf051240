# What the three scripts ask with: a request that isn't answered as promised ends the script with its step on stderr.
set -eu
export BASE
STEP=
trap '[ $? -eq 0 ] || echo "it broke at: $STEP" >&2' EXIT

step() {
  STEP=$1
  echo "# $1"
}

# field EXPRESSION: what a Python expression over the JSON `d` on standard input gives.
field() {
  "$PYTHON" -c 'import json, sys; d = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"
}

# check EXPRESSION: it must be true of the JSON on standard input.
check() {
  "$PYTHON" -c '
import json, sys
text = sys.stdin.read()
d = json.loads(text)
sys.exit(None if eval("(" + sys.argv[1] + ")") else f"{sys.argv[1]} is not so: {text}")' "$1"
}

# chunks: standard input must be a whole stream of chat completion chunks with text in it.
chunks() {
  "$PYTHON" -c '
import json, sys
lines = [line[6:] for line in sys.stdin.read().splitlines() if line.startswith("data: ")]
assert lines[-1] == "[DONE]", lines
chunks = [json.loads(line) for line in lines[:-1]]
assert all(chunk["object"] == "chat.completion.chunk" for chunk in chunks), chunks
assert "".join(c["delta"].get("content") or "" for chunk in chunks for c in chunk["choices"]), chunks
assert [c["finish_reason"] for chunk in chunks for c in chunk["choices"]][-1] == "stop", chunks'
}

# events: standard input must be a whole stream of a message with text in it.
events() {
  "$PYTHON" -c '
import json, sys
events = [json.loads(line[6:]) for line in sys.stdin.read().splitlines() if line.startswith("data: ")]
kinds = [event["type"] for event in events if event["type"] != "ping"]
assert (kinds[0], kinds[-1]) == ("message_start", "message_stop"), kinds
assert "".join(event["delta"].get("text", "") for event in events if event["type"] == "content_block_delta"), events'
}

# refused STATUS CURL-ARGUMENTS…: the answer must have that status, and be JSON.
refused() {
  wanted=$1
  shift
  answer=$(curl -sS -w '\n%{http_code}' "$@")
  [ "$(printf '%s\n' "$answer" | tail -n 1)" = "$wanted" ] || { echo "not $wanted: $answer" >&2; exit 1; }
  printf '%s\n' "$answer" | sed '$d' | check 'isinstance(d, dict)'
}
