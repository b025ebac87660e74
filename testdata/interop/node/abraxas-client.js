// A client on abraxas: all jobs at once. It prints a line for each of them, with the events that it got;
// warnings come through a stream of their own, at any time, and stand behind the progress.
//
//	node abraxas-client.js HOST:PORT FUNCTION PAYLOAD-FILE [FUNCTION PAYLOAD-FILE...]
//
// KEY: the key of all jobs.
const fs = require('fs');
const { Client } = require('abraxas');
const readable = require('./readable');

const [, , server, ...asked] = process.argv;
const client = Client.connect({ servers: [server], defaultEncoding: 'buffer' });
const lines = [];
let open = asked.length / 2;

for (let i = 0; i < asked.length; i += 2) {
  submit(i / 2, asked[i], fs.readFileSync(asked[i + 1]));
}

function submit(place, name, payload) {
  const progress = [];
  const warnings = [];
  const options = process.env.KEY ? { uniqueid: process.env.KEY } : {};
  const job = client.submitJob(name, options, payload, (error, result) => {
    let end = 'fail';
    if (!error) end = `complete ${readable(result)}`.trim();
    else if (/bang/.test(`${error.message}`)) end = 'exception bang';
    lines[place] = `${name}: ${[...progress, ...warnings, end].join(', ')}`;
    open -= 1;
    if (open === 0) {
      console.log(lines.join('\n'));
      process.exit(0);
    }
  });
  job.on('status', (percent) => progress.push(`status ${percent}`));
  job.on('warn', (text) => warnings.push(`warning ${text}`));
}
