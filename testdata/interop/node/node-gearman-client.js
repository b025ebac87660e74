// A client on node-gearman: all jobs at once. It prints a line for each of them; the library knows data
// and ends, and does not tell data from the result.
//
//	node node-gearman-client.js HOST:PORT FUNCTION PAYLOAD-FILE [FUNCTION PAYLOAD-FILE...]
//
// KEY: the key of all jobs.
const fs = require('fs');
const Gearman = require('node-gearman');
const readable = require('./readable');

const [, , server, ...asked] = process.argv;
const [host, port] = server.split(':');
const client = new Gearman(host, Number(port));
const lines = [];
let open = asked.length / 2;

for (let i = 0; i < asked.length; i += 2) {
  submit(i / 2, asked[i], fs.readFileSync(asked[i + 1]));
}

function submit(place, name, payload) {
  const job = client.submitJob(name, payload, process.env.KEY);
  const parts = [];
  const end = (event) => {
    lines[place] = `${name}: ${event}`.trim();
    open -= 1;
    if (open === 0) {
      console.log(lines.join('\n'));
      client.close();
    }
  };
  job.on('data', (part) => parts.push(part));
  job.on('end', () => end(`complete ${readable(Buffer.concat(parts))}`));
  job.on('error', () => end('fail'));
}
