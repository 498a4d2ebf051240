"""The ASGI server's own parts: HTTP on a client's connection, and limits on connections. It knows no route.

protocol      HTTP/1.1 on one connection: uvicorn's protocol, guarded
connections   all open connections: how many there may be, and how long each may take
drain         how connections end when the server does, so that no request is lost
"""
