"""Who we are to the service: accounts, their tokens, and whose turn it is. Neither client APIs nor the chat.

vault        secrets sealed at rest                      account      the values: an account, a new one, its tokens
files        private, durable files                      schema       tables, and migrations/ that make them
database     an engine for SQLite or PostgreSQL          store        accounts on disk and in memory
spill        tokens the database would not take          oidc         the token services' HTTP
refresher    one refresh at a time, kept before use      pool         which account serves a request
environment  the account the AMAZONQ_* variables name
"""
