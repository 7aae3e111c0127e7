// The works in node:http: the prefix is what X-Forwarded-Prefix says, and stands in front of the path.
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');

const names = ['one', 'two words', 'café'];

async function read(request, take) {
  for await (const piece of request) take(piece);
}

async function serve(request, response) {
  const prefix = request.headers['x-forwarded-prefix'];
  const url = new URL(request.url, `http://${request.headers.host}`);
  const path = decodeURIComponent(url.pathname).slice(prefix.length) || '/';
  const type = (kind) => response.setHeader('Content-Type', `${kind}; charset=utf-8`);
  type('text/plain');
  if (path === '/') {
    type('text/html');
    const links = names.map((name) => `<a href="${prefix}/page/${encodeURIComponent(name)}">${name}</a>`);
    response.end(`<h1>index</h1>${links.join('')}`);
  } else if (path.startsWith('/page/')) {
    type('text/html');
    response.end(`<h1>${path.slice('/page/'.length)}</h1><a href="${prefix}/">index</a>`);
  } else if (path === '/form') {
    const pieces = [];
    await read(request, (piece) => pieces.push(piece));
    const form = new URLSearchParams(Buffer.concat(pieces).toString());
    response.end(`name=${form.get('name')}\ntext=${form.get('text')}\n`);
  } else if (path === '/upload') {
    const digest = createHash('sha256');
    let length = 0;
    await read(request, (piece) => { digest.update(piece); length += piece.length; });
    response.end(`${length} ${digest.digest('hex')}\n`);
  } else if (path === '/download') {
    response.setHeader('Content-Type', 'application/octet-stream');
    response.setHeader('Content-Length', fs.statSync('download.bin').size);
    fs.createReadStream('download.bin').pipe(response);
  } else if (path === '/stream') {
    response.write('first\n');
    await fs.promises.readFile('gate'); // a FIFO: opened when the client has seen the first piece
    response.end('second\n');
  } else if (path === '/cookies') {
    response.setHeader('Set-Cookie', ['first=1; Path=/', 'second=2; Path=/']);
    response.end(request.headers.cookie);
  } else if (path === '/redirect/path') {
    response.writeHead(302, { Location: `${prefix}/page/one` }).end();
  } else if (path === '/redirect/url') {
    const proto = request.headers['x-forwarded-proto'];
    response.writeHead(302, { Location: `${proto}://${request.headers['x-forwarded-host']}${prefix}/page/one` }).end();
  } else if (path === '/echo') {
    let length = 0;
    await read(request, (piece) => { length += piece.length; });
    const line = `token=${url.searchParams.get('token')} pid=${process.pid} body=${length} wrong=-1\n`;
    response.setHeader('Content-Length', line.length); // whoever gets less of it can tell
    response.end(line);
  } else {
    response.writeHead(404).end(`there is no ${path}\n`);
  }
}

http.createServer((request, response) => {
  serve(request, response).catch((error) => response.destroy(error));
}).listen(process.env.ROUSE_SOCKET);
