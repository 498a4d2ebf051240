#!/bin/sh
# Every request of amq2api's README, in its order, with the answers it promises. Run by test_readmes.py, which sets
# BASE (http://localhost:PORT), PYTHON, CLIENT_ID, CLIENT_SECRET and REFRESH_TOKEN; one account is there by variables.
. "$(dirname "$0")/asking.sh"

step "the page to manage accounts"
curl -sS --fail-with-body "$BASE/" | grep -q '<title>qrelay'
curl -sS --fail-with-body "$BASE/admin" | grep -q '<title>qrelay'

step "POST /v1/chat/completions, streamed"
curl -sS --fail-with-body -X POST "$BASE/v1/chat/completions" -H "Content-Type: application/json" -d '{
  "model": "claude-sonnet-4.5",
  "messages": [
    {"role": "system", "content": "你是一个有帮助的助手"},
    {"role": "user", "content": "你好"}
  ],
  "max_tokens": 4096,
  "temperature": 0.7,
  "stream": true
}' | chunks

step "POST /v1/chat/completions, whole"
curl -sS --fail-with-body -X POST "$BASE/v1/chat/completions" -H "Content-Type: application/json" -d '{
  "model": "claude-sonnet-4.5",
  "messages": [{"role": "user", "content": "你好"}]
}' | check 'd["object"] == "chat.completion" and d["choices"][0]["message"]["content"] and d["usage"]["total_tokens"]'

step "POST /v1/messages"
curl -sS --fail-with-body -X POST "$BASE/v1/messages" -H "Content-Type: application/json" -d '{
  "model": "claude-sonnet-4.5",
  "messages": [{"role": "user", "content": "你好"}],
  "max_tokens": 4096,
  "temperature": 0.7,
  "stream": true,
  "system": "你是一个有帮助的助手"
}' | events

step "GET /v1/models"
curl -sS --fail-with-body "$BASE/v1/models" | check 'd["object"] == "list" and
  {"claude-3.5-sonnet", "claude-sonnet-4", "claude-sonnet-4.5"} <= {row["id"] for row in d["data"]} and
  all({"id", "object", "created", "owned_by", "display_name", "description"} <= row.keys() for row in d["data"])'

step "GET /api/accounts"
curl -sS --fail-with-body "$BASE/api/accounts" | check 'd["success"] is True and len(d["data"]) == 1 and
  d["data"][0]["is_active"] is True and d["data"][0]["client_secret"] == "***"'

step "POST /api/accounts"
added=$(curl -sS --fail-with-body -X POST "$BASE/api/accounts" -H "Content-Type: application/json" -d '{
  "name": "我的账号",
  "refresh_token": "'"$REFRESH_TOKEN"'",
  "client_id": "'"$CLIENT_ID"'",
  "client_secret": "'"$CLIENT_SECRET"'",
  "profile_arn": ""
}')
printf %s "$added" | check 'd["success"] is True and d["message"] and d["data"]["name"] == "我的账号"'
account_id=$(printf %s "$added" | field 'd["data"]["id"]')

step "POST /api/accounts/{account_id}/activate"
curl -sS --fail-with-body -X POST "$BASE/api/accounts/$account_id/activate" | check 'd["success"] is True'
curl -sS --fail-with-body "$BASE/api/accounts" | check '[row["is_active"] for row in d["data"]] == [False, True]'

step "POST /v2/accounts/{account_id}/refresh"
curl -sS --fail-with-body -X POST "$BASE/v2/accounts/$account_id/refresh" | check 'd["success"] is True and d["message"] and
  d["data"].keys() == {"id", "name", "last_refresh_time", "last_refresh_status"} and
  d["data"]["last_refresh_status"] == "success"'

step "GET /health"
curl -sS --fail-with-body "$BASE/health" | check 'd == {"status": "healthy", "has_token": True, "token_expired": False}'

step "Claude's format"
curl -sS --fail-with-body -X POST "$BASE/v1/messages" \
  -H "Content-Type: application/json" \
  -d '{
    "model": "claude-sonnet-4.5",
    "messages": [
      {
        "role": "user",
        "content": "Hello, how are you?"
      }
    ],
    "max_tokens": 1024,
    "stream": true
  }' | events

step "OpenAI's format"
curl -sS --fail-with-body -X POST "$BASE/v1/chat/completions" \
  -H "Content-Type: application/json" \
  -d '{
    "model": "claude-sonnet-4.5",
    "messages": [
      {
        "role": "user",
        "content": "Hello, how are you?"
      }
    ],
    "stream": true
  }' | chunks

step "the models a chat program is told to use"
for model in claude-3.5-sonnet claude-sonnet-4 claude-sonnet-4.5; do
  curl -sS --fail-with-body -X POST "$BASE/v1/chat/completions" -H "Authorization: Bearer anything" \
    -d '{"model": "'"$model"'", "messages": [{"role": "user", "content": "Hello"}], "stream": true}' | chunks
done

step "OpenAI's SDK, streamed"
"$PYTHON" - <<'PYTHON'
import os
from openai import OpenAI

client = OpenAI(
    base_url=os.environ["BASE"] + "/v1",
    api_key="dummy-key"
)

response = client.chat.completions.create(
    model="claude-sonnet-4.5",
    messages=[
        {"role": "system", "content": "你是一个有帮助的助手"},
        {"role": "user", "content": "你好"}
    ],
    stream=True
)

said = ""
for chunk in response:
    if chunk.choices[0].delta.content:
        said += chunk.choices[0].delta.content
print(said)
assert said
PYTHON

step "DELETE /api/accounts/{account_id}: the first that is left is active"
curl -sS --fail-with-body -X DELETE "$BASE/api/accounts/$account_id" | check 'd["success"] is True'
curl -sS --fail-with-body "$BASE/api/accounts" | check '[row["is_active"] for row in d["data"]] == [True]'
refused 404 -X DELETE "$BASE/api/accounts/$account_id"
refused 404 -X POST "$BASE/api/accounts/$account_id/activate"

echo "All of it was answered."
