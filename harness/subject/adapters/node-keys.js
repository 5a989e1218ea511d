// node-keys.js PACKAGE FUNCTION: prints what the function of the package returns, every 2 ms.
const generate = require(process.argv[2])[process.argv[3]];
setInterval(() => process.stdout.write(generate() + '\n'), 2);
