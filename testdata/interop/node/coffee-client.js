// A client on gearman-coffee, or on gearman-node, which came from it: all jobs at once. It prints a line
// for each of them, with the events that it got; the library cannot ask for exceptions and has no keys.
//
//	node coffee-client.js HOST:PORT FUNCTION PAYLOAD-FILE [FUNCTION PAYLOAD-FILE...]
//
// LIBRARY: which of the two.
const fs = require('fs');
const { Client } = require(process.env.LIBRARY);
const readable = require('./readable');

const [, , server, ...asked] = process.argv;
const [host, port] = server.split(':');
const client = new Client({ host, port: Number(port) });
const lines = [];
let open = asked.length / 2;

for (let i = 0; i < asked.length; i += 2) {
  submit(i / 2, asked[i], fs.readFileSync(asked[i + 1]));
}

function submit(place, name, payload) {
  const events = [];
  const end = (event) => {
    lines[place] = `${name}: ${[...events, event].join(', ')}`.trim();
    open -= 1;
    if (open === 0) {
      console.log(lines.join('\n'));
      client.disconnect();
    }
  };
  client.submitJob(name, payload)
    .on('status', (handle, n, d) => events.push(`status ${n}/${d}`))
    .on('data', (handle, text) => events.push(`data ${text}`))
    .on('warning', (handle, text) => events.push(`warning ${text}`))
    .on('fail', () => end('fail'))
    .on('complete', (handle, result) => end(`complete ${readable(result || '')}`));
}
