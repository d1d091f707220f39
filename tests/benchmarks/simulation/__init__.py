"""A million jobs a day over a hundred workers: 11.57 jobs a second, of 8.64 s each.

Two parts: several bot processes on one database, in real time (:mod:`.shards`); placement among workers of different
speed, in virtual time (:mod:`.placing`). Both run the program's own code; only paintings and replies are stand-ins.
"""
