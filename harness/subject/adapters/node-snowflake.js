// node-snowflake.js PACKAGE NODE_ID: prints a snowflake every 2 ms.
const SnowflakeId = require(process.argv[2]).default || require(process.argv[2]);
const generator = new SnowflakeId({ mid: Number(process.argv[3]), offset: 0 });
setInterval(() => process.stdout.write(generator.generate() + '\n'), 2);
