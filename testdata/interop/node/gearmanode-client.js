// A client on gearmanode: all jobs at once. It prints a line for each of them, with the events that
// it got.
//
//	node gearmanode-client.js HOST:PORT FUNCTION PAYLOAD-FILE [FUNCTION PAYLOAD-FILE...]
//
// KEY: the key of all jobs.
const fs = require('fs');
const gearmanode = require('gearmanode');
const readable = require('./readable');

const [, , server, ...asked] = process.argv;
const [host, port] = server.split(':');
const client = gearmanode.client({ host, port: Number(port) });
const lines = [];
let open = asked.length / 2;

client.jobServers[0].once('option', () => {
  for (let i = 0; i < asked.length; i += 2) {
    submit(asked[i], fs.readFileSync(asked[i + 1]));
  }
});
client.jobServers[0].setOption('exceptions');

function submit(name, payload) {
  const options = process.env.KEY ? { unique: process.env.KEY } : {};
  const job = client.submitJob(name, payload, options);
  const events = [];
  lines.push([name, events]);
  const end = (event) => {
    events.push(event.trim());
    open -= 1;
    if (open === 0) {
      for (const [name, events] of lines) console.log(`${name}: ${events.join(', ')}`);
      client.close();
    }
  };
  job.on('status', (s) => events.push(`status ${s.percent_done_num}/${s.percent_done_den}`));
  job.on('workData', (data) => events.push(`data ${readable(data)}`));
  job.on('warning', (data) => events.push(`warning ${readable(data)}`));
  job.on('exception', (text) => end(/bang/.test(text) ? 'exception bang' : 'exception'));
  job.on('failed', () => end('fail'));
  job.on('complete', () => end(`complete ${readable(job.response)}`));
}
