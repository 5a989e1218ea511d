// An id generator for keyskew: it is told `next`, asks for the clock, and answers with a key.
const lines = require('readline').createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const read = async () => (await lines.next()).value;
(async () => {
  const node = BigInt(process.argv[2] || 0);
  let last = 0n, seq = 0n;
  while (await read() !== undefined) {
    console.log('clock wall'); // in a real world Date.now() would do
    const ms = BigInt(await read()) / 1000000n;
    if (ms < last || (ms === last && seq === 4095n)) {
      console.log('refuse the clock went back or the sequence is used up');
      continue;
    }
    seq = ms === last ? seq + 1n : 0n;
    last = ms;
    console.log(`key ${(ms - 1288834974657n) << 22n | node << 12n | seq}`);
  }
})();
