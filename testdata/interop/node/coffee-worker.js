// A worker on gearman-coffee, or on gearman-node, which came from it: what every worker of these tests
// can do, as far as the library can, on a connection for each function.
//
//	node coffee-worker.js HOST:PORT PREFIX
//
// LIBRARY: which of the two.
const { Worker } = require(process.env.LIBRARY);

const [, , server, prefix] = process.argv;
const [host, port] = server.split(':');

const functions = {
  echo: (payload, job) => job.complete(payload),
  reverse: (payload, job) => job.complete(payload.toString().split('').reverse().join('')),
  empty: (payload, job) => job.complete(),
  fail: (payload, job) => job.error(),
  steps: (payload, job) => {
    job.status(1, 2);
    job.data('one');
    job.warning('careful');
    job.status(2, 2);
    job.complete('done');
  },
};
for (const [name, work] of Object.entries(functions)) {
  new Worker(`${prefix}.${name}`, work, { host, port: Number(port) });
}
