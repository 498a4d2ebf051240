"""A stand-in for the AWS service on a real port: what it answers, what it refuses, and how it fails.

Not the gateway: it shares only the frame codec with it, so that neither can hide the other's mistakes.
"""
