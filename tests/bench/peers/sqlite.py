"""Keeps messages in SQLite as natterjack does in its journal: each is acknowledged when it is on the
disk, and there are at most ten transactions a second.

sqlite.py FOLDER SECONDS-BETWEEN-TWO COUNT, beginning with a line on its input. Prints how long the
acknowledgements took, in milliseconds, one a line."""

import sqlite3
import sys
import time

folder, every, count = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
db = sqlite3.connect(folder + "/chat.db", isolation_level=None)
db.execute("pragma journal_mode=wal")
db.execute("pragma synchronous=full")
db.execute("create table message (id integer primary key, room text, at integer, user text, text text, ref blob)")
print("ready", flush=True)
sys.stdin.readline()
begin = last = time.monotonic()
said = 0
took = []
while said < count:
    due = max(begin + every * said, last)
    time.sleep(max(0, due - time.monotonic()))
    last = time.monotonic()
    come = min(count, int((last - begin) / every) + 1)
    db.execute("begin")
    for number in range(said, come):
        row = ("lobby", time.time_ns() // 1_000_000, "ann", f"{number:08}".ljust(64, "x"), number.to_bytes(16, "big"))
        db.execute("insert into message (room, at, user, text, ref) values (?, ?, ?, ?, ?)", row)
    db.execute("commit")
    now = time.monotonic()
    took += [(now - begin - every * number) * 1000 for number in range(said, come)]
    said, last = come, last + 0.1
print(*took, sep="\n", flush=True)
sys.stdin.readline()
