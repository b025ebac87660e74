// A worker on the library gearman: what every worker of these tests can do.
//
//	node gearman-worker.js HOST:PORT PREFIX
const gearman = require('gearman');

const [, , server, prefix] = process.argv;
const [host, port] = server.split(':');
const worker = gearman(host, Number(port));

const functions = {
  echo: (handle, payload) => worker.sendWorkComplete(handle, payload),
  reverse: (handle, payload) => worker.sendWorkComplete(handle, payload.toString().split('').reverse().join('')),
  empty: (handle) => worker.sendWorkComplete(handle, ''),
  fail: (handle) => worker.sendWorkFail(handle),
  boom: (handle) => worker.sendWorkException(handle, 'bang'),
  steps: (handle) => {
    worker.sendWorkStatus(handle, '1', '2');
    worker.sendWorkData(handle, 'one');
    worker.sendWorkWarning(handle, 'careful');
    worker.sendWorkStatus(handle, '2', '2');
    worker.sendWorkComplete(handle, 'done');
  },
};
worker.on('NOOP', () => worker.grabJob());
worker.on('JOB_ASSIGN', (job) => {
  functions[job.func_name.slice(prefix.length + 1)](job.handle, job.payload);
  worker.preSleep();
});
worker.connect(() => {
  for (const name of Object.keys(functions)) worker.addFunction(`${prefix}.${name}`);
  worker.preSleep();
});
