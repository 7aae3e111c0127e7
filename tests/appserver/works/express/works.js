// The works in Express: a router that is mounted at the prefix; req.baseUrl is the prefix then.
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const express = require('express');

const names = ['one', 'two words', 'café'];
const router = express.Router();

router.get('/', (req, res) => {
  const links = names.map((name) => `<a href="${req.baseUrl}/page/${encodeURIComponent(name)}">${name}</a>`);
  res.send(`<h1>index</h1>${links.join('')}`);
});
router.get('/page/:name', (req, res) => res.send(`<h1>${req.params.name}</h1><a href="${req.baseUrl}/">index</a>`));
router.post('/form', express.urlencoded({ extended: false }), (req, res) => {
  res.type('text').send(`name=${req.body.name}\ntext=${req.body.text}\n`);
});
router.post('/upload', (req, res) => {
  const digest = createHash('sha256');
  let length = 0;
  req.on('data', (piece) => { digest.update(piece); length += piece.length; });
  req.on('end', () => res.type('text').send(`${length} ${digest.digest('hex')}\n`));
});
router.get('/download', (req, res) => res.sendFile('download.bin', { root: process.cwd() }));
router.get('/stream', (req, res) => {
  res.type('text').write('first\n');
  fs.readFile('gate', () => res.end('second\n')); // a FIFO: opened when the client has seen the first piece
});
router.get('/cookies', (req, res) => {
  res.cookie('first', '1').cookie('second', '2').type('text').send(req.get('Cookie') || '');
});
router.get('/redirect/path', (req, res) => res.redirect(`${req.baseUrl}/page/one`));
router.get('/redirect/url', (req, res) => res.redirect(`${req.protocol}://${req.get('Host')}${req.baseUrl}/page/one`));
router.all('/echo', (req, res) => {
  let length = 0;
  req.on('data', (piece) => { length += piece.length; });
  req.on('end', () => res.type('text').send(`token=${req.query.token} pid=${process.pid} body=${length} wrong=-1\n`));
});

express()
  .set('trust proxy', true)
  .use('/cgi-bin/works.cgi', router)
  .listen(process.env.ROUSE_SOCKET);
