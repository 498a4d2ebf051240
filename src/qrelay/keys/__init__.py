"""What opens the doors, and is kept: client keys of our own, console sessions, and who guesses too often. No HTTP.

    text      what a key looks like; a mistyped one is seen without a look-up
    store     `Keys`: every key there is, looked up in memory, kept as digests
    sessions  `Sessions`: who is logged in to the console, on any replica
    attempts  `Attempts`: so many wrong secrets a minute and no more

Who may do what with them is `http/doors.py`. A key never opens management: that can't be said in a row here.
"""

from qrelay.keys.store import Key, Keys, any_stored, open_keys

__all__ = ["Key", "Keys", "any_stored", "open_keys"]
