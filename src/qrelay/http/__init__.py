"""The rim towards clients: ASGI, doors, routes. No translation and no choice of account is made here."""
