"""Coverage-guided fuzzing: `make fuzz` runs it with atheris, `make test` replays a fixed set of inputs.

target      what a target is                           run         the runner: `python -m tests.fuzz.run`
mutation    changes to JSON and to frames              shortened   captured requests, made small
frames      bytes to frames, any chunking              reply       frames to events
requests    client requests to a payload               configuration  the environment, .env and config.json
importing   files of other programs                    parsers     everything else that reads bytes from outside
corpus      inputs that once failed, by target
"""
