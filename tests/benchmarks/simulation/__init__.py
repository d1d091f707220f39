"""A million jobs a day over a hundred workers: 11.57 jobs a second, of 8.64 s each.

Five parts, each a module of its own: several bot processes on one database, in real time (:mod:`.shards`); a start on
a long line, in real time (:mod:`.start`); the Dask scheduler and its clients, in real time (:mod:`.cluster`); the
arithmetic (:mod:`.paper`); placement among workers of different speed, in virtual time (:mod:`.placing`). All but the
arithmetic run the program's own code; only paintings and replies are stand-ins. Other load on the machine changes the
figures, so it is reported beside them.
"""
