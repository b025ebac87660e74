// A worker on abraxas: what every worker of these tests can do, as far as the library can.
//
//	node abraxas-worker.js HOST:PORT PREFIX
const { Client } = require('abraxas');

const [, , server, prefix] = process.argv;
const client = Client.connect({ servers: [server], defaultEncoding: 'buffer' });

const functions = {
  echo: (task) => task.end(task.payload),
  reverse: (task) => task.end(task.payload.toString().split('').reverse().join('')),
  empty: (task) => task.end(''),
  boom: () => {
    throw new Error('bang');
  },
  steps: (task) => {
    task.status(0.5);
    task.warn('careful');
    task.end('done');
  },
};
for (const [name, work] of Object.entries(functions)) {
  client.registerWorker(`${prefix}.${name}`, work);
}
