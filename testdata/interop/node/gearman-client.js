// A client on the library gearman: all jobs at once on one connection. It prints a line for each of them,
// with the events that it got.
//
//	node gearman-client.js HOST:PORT FUNCTION PAYLOAD-FILE [FUNCTION PAYLOAD-FILE...]
//
// KEY: the key of all jobs.
const fs = require('fs');
const gearman = require('gearman');
const readable = require('./readable');

const [, , server, ...asked] = process.argv;
const [host, port] = server.split(':');
const client = gearman(host, Number(port));
const jobs = []; // in the order of their answers, which is that of the questions
const byHandle = new Map(); // the jobs of a handle: more than one where a key is equal
let created = 0;
let open = asked.length / 2;

function say(handle, event) {
  for (const job of byHandle.get(handle)) job.events.push(event);
}

// An end is one job's, also where a handle is that of several: each of them gets its own.
function end(handle, event) {
  byHandle.get(handle).find((job) => !job.ended).ended = event;
  open -= 1;
  if (open > 0) return;
  for (const job of jobs) console.log(`${job.name}: ${[...job.events, job.ended].join(', ')}`);
  client.close();
}

client.on('JOB_CREATED', (handle) => {
  byHandle.set(handle, [...(byHandle.get(handle) || []), jobs[created]]);
  created += 1;
});
client.on('WORK_STATUS', (s) => say(s.handle, `status ${s.percent_num}/${s.percent_den}`));
client.on('WORK_DATA', (d) => say(d.handle, `data ${readable(d.payload)}`));
client.on('WORK_WARNING', (w) => say(w.handle, `warning ${w.warning}`));
client.on('WORK_EXCEPTION', (e) => end(e.handle, /bang/.test(e.exception) ? 'exception bang' : 'exception'));
client.on('WORK_FAIL', (f) => end(f.handle, 'fail'));
client.on('WORK_COMPLETE', (c) => end(c.handle, `complete ${readable(c.payload)}`.trim()));
client.on('OPTION_RES', () => {
  for (let i = 0; i < asked.length; i += 2) {
    jobs.push({ name: asked[i], events: [] });
    client.submitJob(asked[i], fs.readFileSync(asked[i + 1]), process.env.KEY ? { unique_id: process.env.KEY } : {});
  }
});
client.connect(() => client.setOption('exceptions'));
