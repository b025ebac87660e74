// A worker on gearmanode: what every worker of these tests can do.
//
//	node gearmanode-worker.js HOST:PORT PREFIX
const gearmanode = require('gearmanode');

const [, , server, prefix] = process.argv;
const [host, port] = server.split(':');
const worker = gearmanode.worker({ host, port: Number(port) });

const functions = {
  echo: (job) => job.workComplete(job.payload),
  reverse: (job) => job.workComplete(job.payload.toString().split('').reverse().join('')),
  empty: (job) => job.workComplete(''),
  fail: (job) => job.reportError(),
  boom: (job) => job.reportException('bang'),
  steps: (job) => {
    job.reportStatus(1, 2);
    job.sendWorkData('one');
    job.reportWarning('careful');
    job.reportStatus(2, 2);
    job.workComplete('done');
  },
};
for (const [name, work] of Object.entries(functions)) {
  worker.addFunction(`${prefix}.${name}`, work);
}
