// SPDX-License-Identifier: Apache-2.0
// Deflates one stream after another with the zlib that this Node was built with, until its input ends.
//
// In:  per stream two bytes, level and memory level; then frames: length (32 bits, little endian) and that many plain bytes.
//      Length 0 ends the stream, length 2^32-1 abandons it.
// Out: frames of the raw deflate stream in the same form; length 0 ends it, also after it was abandoned.
'use strict';
const { once } = require('node:events');
const zlib = require('node:zlib');

const ABANDON = 0xffffffff;
const input = process.stdin[Symbol.asyncIterator]();
let held = Buffer.alloc(0);

// Exactly `length` bytes, or null when the input ends before.
async function take(length) {
  const parts = [held];
  let have = held.length;
  while (have < length) {
    const { value, done } = await input.next();
    if (done) return null;
    parts.push(value);
    have += value.length;
  }
  const all = parts.length === 1 ? parts[0] : Buffer.concat(parts);
  held = all.subarray(length);
  return all.subarray(0, length);
}

async function send(data) {
  const head = Buffer.alloc(4);
  head.writeUInt32LE(data.length);
  process.stdout.write(head);
  if (!process.stdout.write(data)) await once(process.stdout, 'drain');
}

async function forward(deflate) {
  try {
    for await (const data of deflate) await send(data);
  } catch (error) {
    if (error.code !== 'ERR_STREAM_PREMATURE_CLOSE' && error.code !== 'ABORT_ERR') throw error;
  }
}

// False when the input ended in the middle of a stream.
async function feed(deflate) {
  for (;;) {
    const head = await take(4);
    if (head === null) return false;
    const length = head.readUInt32LE(0);
    if (length === ABANDON) {
      deflate.destroy();
      return true;
    }
    if (length === 0) {
      deflate.end();
      return true;
    }
    const data = await take(length);
    if (data === null) return false;
    if (!deflate.write(data)) await once(deflate, 'drain');
  }
}

async function serve() {
  for (;;) {
    const begin = await take(2);
    if (begin === null) return;
    const deflate = zlib.createDeflateRaw({ level: begin[0], memLevel: begin[1], windowBits: 15, chunkSize: 1 << 16 });
    const forwarded = forward(deflate);
    if (!(await feed(deflate))) return;
    await forwarded;
    await send(Buffer.alloc(0));
  }
}

process.stdout.on('error', () => process.exit(1)); // nobody listens any more
serve().then(() => process.exit(0), () => process.exit(1));
