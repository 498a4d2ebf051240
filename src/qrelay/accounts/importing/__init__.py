"""Accounts that other programs keep, read as `NewAccount`s. Nothing is changed there; `found` alone stores.

sources     which programs, where they keep them       shapes      one account as JSON, however it is spelt
q2api       data.sqlite3                               databases   SQLite files of others, only ever read
amq2api     account.json                               files       other files: regular, of a sane size, JSON
aq2api      amazonq_credentials.json
cli         Amazon Q CLI's and Kiro CLI's database
sso_cache   Kiro IDE's and the AWS toolkits' folder
found       the older gateways' files beside a server
documents   JSON and JSON Lines, our own export too    sent        a file's bytes, whichever of these it is
"""
