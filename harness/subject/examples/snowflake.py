# An id generator for keyskew: it is told `next`, asks for the clock, and answers with a key.
import sys

node = int(sys.argv[1]) if len(sys.argv) > 1 else 0
last = seq = 0
for _ in sys.stdin:
    print("clock wall", flush=True)  # in a real world time.time_ns() would do
    ms = int(sys.stdin.readline()) // 1000000
    if ms < last or (ms == last and seq == 4095):
        print("refuse the clock went back or the sequence is used up", flush=True)
        continue
    seq = seq + 1 if ms == last else 0
    last = ms
    print("key", ms - 1288834974657 << 22 | node << 12 | seq, flush=True)
