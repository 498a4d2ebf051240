"""The upstream room: everything AWS about a conversation. It knows no client API and no account store."""
