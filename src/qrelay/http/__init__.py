"""The rim towards clients: ASGI, doors, routes. No translation and no choice of account is made here.

app             everything put together                 from_settings   what settings alone decide
leaving         the end of a server                     body            a request's body, up to a size

Who may do what:
doors           keys, admin secret, loopback            asked           what a request says of its sender
host            what a Host field and an Origin name    visitors        whose address it counts for
cors            pages of other origins

Client routes:
client_apis     the chat routes' driver                 delivery        what it writes
endings         what is told at a request's end         traffic         what was served, in numbers
models          /v1/models                              count_tokens    /v1/messages/count_tokens
responses       /v1/responses/{id}                      shelf           the responses that are kept

Management:
gate            the one way in                          management      its paths, and how they tell failures
audited         what is written of a request            queries         what stands behind the question mark
fields          what bodies are made of
account_bodies  what is sent about accounts             account_answers what is told of them
accounts        /v2/accounts                            standing        how one stands in this process
checks          a test, a quota                         log_in          /v2/auth
transfer        /v2/import, /v2/export                  master_key      /v2/master-key
keys            /v2/keys                                sessions        logging in to the console
request_log     /v2/requests                            usage           /v2/usage
audit           /v2/audit                               configuration   /v2/settings
overview        /v2/overview, /v2/health
amq2api         its /api/accounts                       aq2api          its /credentials

Open to look at:
probes          /livez and the like                     metrics         /metrics
exposition      what it says                            openapi         /openapi.json
pages           /docs                                   console         the console's files
"""
