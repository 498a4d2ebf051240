"""Who we are to the service: accounts, their tokens, and whose turn it is. Neither client APIs nor the chat.

pool         which account serves a request          refresher    one refresh at a time, kept before use
environment  the account the variables name          oidc         the token services' HTTP
device       a log-in by device code                 answers      what those services answer
store        accounts added, changed, deleted        safekeeping  leases, and tokens kept whatever happens
identity     what changes in a row, and what not     ledger       the table and its picture in memory
rows         rows as values: sealed, digested        tallies      counts that wait to be stored
account      the values all of them speak of         spill        tokens the database would not take
schema       tables; `migrations/` makes them        database     an engine for SQLite or PostgreSQL
vault        secrets sealed at rest                  files        private, durable files
"""
