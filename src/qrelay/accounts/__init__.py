"""Who we are to the service: accounts, their tokens, and whose turn it is. Neither client APIs nor the chat.

account         the values all of them speak of
store           accounts added, changed, deleted        identity        what changes in a row, and what not
ledger          the table and its picture in memory     rows            rows as values: sealed, digested
tallies         counts that wait to be stored           quota_notes     what is known of a quota, in its row

refresher       one refresh at a time, kept first       safekeeping     leases, and tokens kept whatever happens
spill           tokens the database would not take      setbacks        when the token service is left in peace
oidc            the token services' HTTP                answers         what those services answer
device          a log-in by device code                 standings       how log-ins stand, for every replica
environment     the account the variables name          parcel          accounts sealed for another machine
importing       accounts that other programs keep

pool            which account serves a request          line            who waits until one has room
roll            who may serve a model now               strategies      whose turn it is
consequences    what a failure means: one table         cooldowns       who isn't asked, until when
cooldown_table  that, stored
"""
