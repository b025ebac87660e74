// A worker on node-gearman: what every worker of these tests can do, as far as the library can.
//
//	node node-gearman-worker.js HOST:PORT PREFIX
const Gearman = require('node-gearman');

const [, , server, prefix] = process.argv;
const [host, port] = server.split(':');
const worker = new Gearman(host, Number(port));

const functions = {
  echo: (payload, job) => job.end(payload),
  reverse: (payload, job) => job.end(payload.toString().split('').reverse().join('')),
  empty: (payload, job) => job.end(),
  fail: (payload, job) => job.error(),
  steps: (payload, job) => {
    job.write('one');
    job.end('done');
  },
};
for (const [name, work] of Object.entries(functions)) {
  worker.registerWorker(`${prefix}.${name}`, work);
}
