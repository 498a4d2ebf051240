#!/bin/sh
# Every request of aq2api's README, in its order, with the answers it promises. Run by test_readmes.py, which sets
# BASE (http://localhost:PORT), PYTHON, CLIENT_ID, CLIENT_SECRET and REFRESH_TOKEN; no account is there yet, and
# QRELAY_ANTHROPIC_STREAM_DEFAULT=true brings back that messages are streamed unless told otherwise.
. "$(dirname "$0")/asking.sh"

step "GET /credentials, before there are any"
curl -sS --fail-with-body "$BASE/credentials" | check 'd["has_credentials"] is False'
refused 401 "$BASE/test/token"

step "POST /credentials"
curl -sS --fail-with-body "$BASE/credentials" -H "Content-Type: application/json" -d '{
  "client_id": "'"$CLIENT_ID"'",
  "client_secret": "'"$CLIENT_SECRET"'",
  "refresh_token": "'"$REFRESH_TOKEN"'"
}' | check 'd["has_credentials"] is True and d["has_profile_arn"] is False'
refused 400 "$BASE/credentials" -d '{"client_id": "x", "client_secret": "y"}'

step "GET /test/token"
curl -sS --fail-with-body "$BASE/test/token" | check 'd["success"] is True and len(d["token_preview"]) == 11'
curl -sS --fail-with-body "$BASE/credentials" | check 'd["has_access_token"] is True and isinstance(d["token_expiry"], str)'

step "GET /v1/models and GET /health"
curl -sS --fail-with-body "$BASE/v1/models" | check '"claude-sonnet-4.5" in {row["id"] for row in d["data"]}'
curl -sS --fail-with-body "$BASE/health" | check 'd["status"] == "healthy"'

step "OpenAI's SDK"
"$PYTHON" - <<'PYTHON'
import os
from openai import OpenAI

client = OpenAI(base_url=os.environ["BASE"] + "/v1", api_key="dummy-key")

resp = client.chat.completions.create(
    model="claude-sonnet-4.5",
    messages=[{"role": "user", "content": "介绍一下 Amazon Q"}],
    stream=False,
)
print(resp.choices[0].message.content)
assert resp.choices[0].message.content
PYTHON

step "OpenAI's format, streamed"
curl -sS --fail-with-body "$BASE/v1/chat/completions" \
  -H "Authorization: Bearer test" \
  -H "Content-Type: application/json" \
  -d '{"model":"claude-sonnet-4.5","messages":[{"role":"user","content":"说个笑话"}],"stream":true}' | chunks

step "Anthropic's SDK, at an address with /v1"
"$PYTHON" - <<'PYTHON'
import os
from anthropic import Anthropic

client = Anthropic(base_url=os.environ["BASE"] + "/v1", api_key="dummy-key")

resp = client.messages.create(
    model="claude-sonnet-4",
    max_tokens=2048,
    messages=[{"role": "user", "content": "列一个使用指南"}],
    stream=False,
)
print(resp.content[0].text)
assert resp.content[0].text
PYTHON

step "messages are streamed unless told otherwise"
curl -sS --fail-with-body "$BASE/v1/messages" \
  -d '{"model": "claude-sonnet-4", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}' | events
curl -sS --fail-with-body "$BASE/v1/messages" \
  -d '{"model": "claude-sonnet-4", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}], "stream": false}' |
  check 'd["type"] == "message"'

echo "All of it was answered."
