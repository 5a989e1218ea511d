# Prints a time UUID every 2 ms. time.sleep fails under libfaketime when the monotonic clock is not faked.
import select
import uuid

while True:
    print(uuid.uuid1(), flush=True)
    select.select([], [], [], 0.002)
