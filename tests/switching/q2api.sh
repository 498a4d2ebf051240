#!/bin/sh
# Every request of q2api's README, in its order, with the answers it promises. Run by test_readmes.py, which sets
# BASE (http://localhost:PORT), PYTHON, CLIENT_ID, CLIENT_SECRET and REFRESH_TOKEN.
. "$(dirname "$0")/asking.sh"

step "where it is reached"
curl -sS --fail-with-body "$BASE/" | grep -q '<title>qrelay'
curl -sS --fail-with-body "$BASE/healthz" | check 'd["status"] == "ok"'
curl -sS --fail-with-body "$BASE/docs" | grep -q '<!doctype html>'

step "log-in by address: start"
started=$(curl -sS --fail-with-body -X POST "$BASE/v2/auth/start" \
  -H "Content-Type: application/json" \
  -d '{"label": "新账号", "enabled": true}')
printf %s "$started" | check '{"authId", "verificationUriComplete", "userCode", "expiresIn", "interval"} <= d.keys()'
auth_id=$(printf %s "$started" | field 'd["authId"]')
curl -sS --fail-with-body "$BASE/v2/auth/status/$auth_id" | check 'd["status"] == "pending" and d["remaining"] <= 300'

step "log-in by address: somebody opens the page and says yes"
page=$(printf %s "$started" | field 'd["verificationUriComplete"]')
curl -sS --fail-with-body "$page" -d "user_code=$(printf %s "$started" | field 'd["userCode"]')" -d decision=allow >/dev/null

step "log-in by address: claim"
claimed=$(curl -sS --fail-with-body -X POST "$BASE/v2/auth/claim/$auth_id")
printf %s "$claimed" | check 'd["status"] == "completed" and d["account"]["label"] == "新账号" and d["account"]["enabled"]'
curl -sS --fail-with-body -X POST "$BASE/v2/auth/claim/$auth_id" | check 'd["status"] == "completed"'
curl -sS --fail-with-body "$BASE/v2/auth/status/$auth_id" | check 'd["status"] == "completed" and d["accountId"]'

step "create an account"
account=$(curl -sS --fail-with-body -X POST "$BASE/v2/accounts" \
  -H "Content-Type: application/json" \
  -d '{
    "label": "我的账号",
    "clientId": "'"$CLIENT_ID"'",
    "clientSecret": "'"$CLIENT_SECRET"'",
    "refreshToken": "'"$REFRESH_TOKEN"'",
    "enabled": true
  }')
printf %s "$account" | check 'd["label"] == "我的账号" and d["enabled"] is True'
account_id=$(printf %s "$account" | field 'd["id"]')

step "list all accounts"
curl -sS --fail-with-body "$BASE/v2/accounts" | check 'isinstance(d, list) and len(d) == 2'
curl -sS --fail-with-body "$BASE/v2/accounts/$account_id" | check 'd["label"] == "我的账号"'

step "switch an account off"
curl -sS --fail-with-body -X PATCH "$BASE/v2/accounts/$account_id" \
  -H "Content-Type: application/json" \
  -d '{"enabled": false}' | check 'd["enabled"] is False'

step "refresh its token"
curl -sS --fail-with-body -X POST "$BASE/v2/accounts/$account_id/refresh" | check 'd["last_refresh_status"] == "success"'

step "delete it"
curl -sS --fail-with-body -X DELETE "$BASE/v2/accounts/$account_id" | check 'd == {"deleted": "'"$account_id"'"}'

step "chat, whole"
curl -sS --fail-with-body -X POST "$BASE/v1/chat/completions" \
  -H "Content-Type: application/json" \
  -H "Authorization: Bearer your-api-key" \
  -d '{
    "model": "claude-sonnet-4",
    "stream": false,
    "messages": [
      {"role": "system", "content": "你是一个乐于助人的助手"},
      {"role": "user", "content": "你好，请讲一个简短的故事"}
    ]
  }' | check 'd["choices"][0]["message"]["content"] and d["choices"][0]["finish_reason"] == "stop"'

step "chat, streamed"
curl -sS --fail-with-body -N -X POST "$BASE/v1/chat/completions" \
  -H "Content-Type: application/json" \
  -H "Authorization: Bearer your-api-key" \
  -d '{
    "model": "claude-sonnet-4",
    "stream": true,
    "messages": [
      {"role": "user", "content": "讲一个笑话"}
    ]
  }' | chunks

step "chat, by OpenAI's SDK"
"$PYTHON" - <<'PYTHON'
import os
import openai

client = openai.OpenAI(
    base_url=os.environ["BASE"] + "/v1",
    api_key="your-api-key"
)

response = client.chat.completions.create(
    model="claude-sonnet-4",
    messages=[
        {"role": "user", "content": "你好"}
    ]
)

print(response.choices[0].message.content)
assert response.choices[0].message.content
PYTHON

step "messages"
curl -sS --fail-with-body -X POST "$BASE/v1/messages" \
  -H "Content-Type: application/json" \
  -H "x-api-key: your-api-key" \
  -d '{
    "model": "claude-sonnet-4.5",
    "max_tokens": 1024,
    "messages": [
      {"role": "user", "content": "你好"}
    ]
  }' | check 'd["type"] == "message" and d["content"][0]["text"] and d["stop_reason"] == "end_turn"'

step "messages, by Anthropic's SDK, whole and streamed"
"$PYTHON" - <<'PYTHON'
import os
from anthropic import Anthropic

client = Anthropic(
    base_url=os.environ["BASE"] + "/v1",
    api_key="your-api-key"
)

message = client.messages.create(
    model="claude-sonnet-4.5",
    max_tokens=1024,
    messages=[
        {"role": "user", "content": "你好"}
    ]
)
print(message.content[0].text)
assert message.content[0].text

with client.messages.stream(
    model="claude-sonnet-4.5",
    max_tokens=1024,
    messages=[
        {"role": "user", "content": "写一首诗"}
    ]
) as stream:
    text = "".join(stream.text_stream)
print(text)
assert text
PYTHON

step "a key that is not on the list"
refused 401 -X POST "$BASE/v1/chat/completions" -H "Authorization: Bearer another" -d '{}'

step "no account that is enabled"
curl -sS --fail-with-body "$BASE/v2/accounts" | field '"\n".join(row["id"] for row in d)' | while read -r id; do
  curl -sS --fail-with-body -X PATCH "$BASE/v2/accounts/$id" -d '{"enabled": false}' >/dev/null
done
refused 401 -X POST "$BASE/v1/chat/completions" -H "Authorization: Bearer your-api-key" \
  -d '{"model": "claude-sonnet-4", "messages": [{"role": "user", "content": "你好"}]}'

echo "All of it was answered."
