// Targets of the fuzzer that read documents and headers: manifests and configs, challenges, frames and messages of
// the guest, disks.
import { encodeQcow2Overlay, parseQcow2Header } from '../../dist/disks/qcow2.js';
import {
  formatReference,
  layerCompression,
  parseDocument,
  parseImageConfig,
  parseReference,
} from '../../dist/oci/index.js';
import * as protocol from '../../dist/protocol/index.js';
import { parseChallenges } from '../../dist/registry/challenge.js';
import { readDockerManifest } from '../../dist/rootfs/docker-manifest.js';
import { usedBlocks } from '../../dist/rootfs/used-blocks.js';
import { assert, mutated, outcome } from './chance.mjs';

const BLOCK_BYTES = 4096;
const IMAGE_BLOCKS = 64;
const DIGEST = `sha256:${'5'.repeat(64)}`;
const descriptor = (mediaType) => ({ mediaType, digest: DIGEST, size: 12, annotations: { a: 'b' } });
const MANIFEST = {
  schemaVersion: 2,
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  config: descriptor('application/vnd.oci.image.config.v1+json'),
  layers: [
    descriptor('application/vnd.oci.image.layer.v1.tar+gzip'),
    descriptor('application/vnd.docker.image.rootfs.diff.tar.gzip'),
  ],
};
const INDEX = {
  schemaVersion: 2,
  mediaType: 'application/vnd.oci.image.index.v1+json',
  manifests: [
    { ...descriptor(MANIFEST.mediaType), platform: { os: 'linux', architecture: 'arm', variant: 'v7' } },
  ],
};
const CONFIG = {
  os: 'linux',
  architecture: 'amd64',
  created: '2024-01-01T00:00:00Z',
  config: {
    Env: ['A=b'],
    Cmd: ['sh'],
    Entrypoint: null,
    User: '1:2',
    WorkingDir: '/x',
    ExposedPorts: { '80/tcp': {} },
  },
  rootfs: { type: 'layers', diff_ids: [DIGEST, DIGEST] },
};
const DOCKER = [{ Config: 'c.json', RepoTags: ['a:1'], Layers: ['1/layer.tar', '2/layer.tar'] }];
const ODD_VALUES = [
  null,
  true,
  -1,
  0,
  1.5,
  2 ** 53,
  Number.MAX_VALUE,
  '',
  '\0',
  '../..',
  'x'.repeat(5000),
  [],
  [[[]]],
  {},
  { size: {} },
];
const HEADERS = [
  'Bearer realm="https://auth.example/token",service="registry",scope="repository:a/b:pull"',
  'Basic realm="a \\" b", charset=UTF-8, Bearer realm=x, error="invalid"',
  'Negotiate dG9rZW4=, Bearer realm="https://h/"',
];
const REFERENCES = [
  'debian',
  'a/b:c',
  `[::1]:5000/a@${DIGEST}`,
  'localhost:5000/x/y:v1.0',
  'docker.io/library/a',
];
const FIELDS = [protocol.EXEC_RECORDS, protocol.GUEST_STATS, protocol.ROOT_SIZE, protocol.CLOCK_STEP];
const MESSAGES = Object.values(protocol).filter(
  (value) => typeof value === 'object' && value !== null && 'field' in value && 'name' in value,
);

/** Replaces, removes or adds a value somewhere in a document. */
function disturbed(document, random) {
  const copy = structuredClone(document);
  for (let count = random.below(4); count > 0; count -= 1) {
    let at = copy;
    for (let depth = random.below(5); depth > 0; depth -= 1) {
      const next = at[random.pick(Object.keys(at))];
      if (typeof next !== 'object' || next === null || Object.keys(next).length === 0) break;
      at = next;
    }
    const key = random.pick([...Object.keys(at), 'size', 'digest', 'urls']);
    if (random.chance(20)) delete at[key];
    else at[key] = structuredClone(random.pick(ODD_VALUES));
    if (Object.keys(copy).length === 0) break;
  }
  return copy;
}

function bytesOf(document, random) {
  const bytes = Buffer.from(JSON.stringify(random.chance(80) ? disturbed(document, random) : document));
  return random.chance(40) ? mutated(bytes, random) : bytes;
}

/** One group of an ext4 file system, in memory, as far as `usedBlocks` looks at it. */
function ext4Bytes(random) {
  const bytes = Buffer.alloc(IMAGE_BLOCKS * BLOCK_BYTES);
  bytes.writeUInt32LE(IMAGE_BLOCKS, 1024 + 4);
  bytes.writeUInt32LE(2, 1024 + 0x18);
  bytes.writeUInt32LE(8 * BLOCK_BYTES, 1024 + 0x20);
  bytes.writeUInt16LE(0xef53, 1024 + 0x38);
  bytes.writeUInt32LE(random.pick([0, 0x80]), 1024 + 0x60);
  bytes.writeUInt16LE(random.pick([0, 1, 31, 32, 64, 0xffff]), 1024 + 0xfe);
  bytes.writeUInt32LE(2, BLOCK_BYTES);
  for (let i = 0; i < 16; i += 1) bytes[2 * BLOCK_BYTES + i] = random.pick([0, 1, 0x80, 0xf0, 0xff]);
  // Only what is read is damaged: superblock, descriptors, bitmap.
  const fields = [0, 4, 0x14, 0x18, 0x20, 0x38, 0x60, 0xfe, 0x150].map((at) => 1024 + at);
  for (let count = random.below(4); count > 0; count -= 1) {
    const at = random.chance(60) ? random.pick(fields) : BLOCK_BYTES + random.below(64);
    bytes.writeUInt32LE(random.pick([0, 1, 31, 63, 64, 65, 0x7fff, 0xffff, 0x7fffffff, 0xffffffff]), at);
  }
  return bytes;
}

function memoryFile(bytes) {
  return {
    stat: async () => ({ size: bytes.byteLength }),
    read: async (into, at, length, position) => {
      const bytesRead = bytes.copy(into, at, position, position + length);
      return { bytesRead };
    },
  };
}

/** All frames of `bytes`, cut as `cut` says, and how it ended. */
function readFrames(bytes, cut) {
  const seen = [];
  const decoder = new protocol.FrameDecoder();
  const end = outcome(() => {
    for (let at = 0; at < bytes.byteLength; ) {
      const length = Math.max(1, cut());
      for (const { streamId, type, payload } of decoder.push(bytes.subarray(at, at + length))) {
        assert(payload.byteLength <= protocol.MAX_PAYLOAD_BYTES, 'a payload beyond the limit');
        seen.push(`${streamId} ${type} ${Buffer.from(payload).toString('latin1')}`);
      }
      at += length;
    }
    return `idle ${decoder.idle}`;
  });
  return `${seen.join('\n')}\n${end}`;
}

export const targets = {
  manifest(random) {
    outcome(() => {
      const document = parseDocument(
        bytesOf(random.pick([MANIFEST, INDEX]), random),
        random.pick([undefined, MANIFEST.mediaType]),
      );
      const all = document.kind === 'index' ? document.index.manifests : document.manifest.layers;
      for (const { digest, sizeBytes, mediaType } of all) {
        assert(/^sha(256|512):[0-9a-f]+$/.test(digest), 'a digest that is none');
        assert(Number.isSafeInteger(sizeBytes) && sizeBytes >= 0, 'a size that is none');
        if (document.kind === 'manifest') outcome(() => layerCompression(mediaType));
      }
    });
    outcome(() => parseImageConfig(bytesOf(CONFIG, random)));
    outcome(() => readDockerManifest(bytesOf(DOCKER, random)));
    outcome(() => {
      const text = formatReference(
        parseReference(mutated(Buffer.from(random.pick(REFERENCES)), random).toString('latin1')),
      );
      assert(
        formatReference(parseReference(text)) === text,
        `a reference that reads differently again: ${text}`,
      );
    });
  },

  challenge(random) {
    const headers = Array.from({ length: 1 + random.below(3) }, () =>
      mutated(Buffer.from(random.pick(HEADERS)), random).toString('latin1'),
    );
    for (const { scheme, parameters } of parseChallenges(headers)) {
      assert(scheme === scheme.toLowerCase() && parameters.size <= 32, 'a challenge beyond its limits');
    }
  },

  frames(random) {
    const frames = Array.from({ length: 1 + random.below(4) }, () => {
      const payload = Buffer.alloc(random.below(300), random.below(256));
      const type = random.pick([1, 0x10, 0x11, 0x22, 0x30, 255]);
      return Buffer.concat(protocol.encodeFrame({ streamId: random.below(5), type, payload }));
    });
    const bytes = mutated(Buffer.concat(frames), random);
    const whole = readFrames(bytes, () => bytes.byteLength);
    const pieces = readFrames(bytes, () => random.below(random.chance(50) ? 5 : 400));
    assert(whole === pieces, `read differently in pieces:\n${whole}\n--\n${pieces}`);
    const payload = Buffer.from(
      Array.from({ length: random.below(80) }, () => random.pick([0, 0, 1, 4, 65, 255])),
    );
    for (const message of MESSAGES) outcome(() => protocol.decodeMessage(message, payload));
    for (const field of FIELDS) {
      outcome(() => protocol.decodeReply('request', field, payload));
    }
  },

  async disks(random) {
    const { segments } = encodeQcow2Overlay(
      '/templates/rootfs.ext4',
      'raw',
      (1 + random.below(64)) * 2 ** 30,
    );
    const [first] = segments;
    const header = mutated(Buffer.from(first.bytes), random);
    outcome(() => {
      const { virtualSizeBytes, maxVirtualSizeBytes } = parseQcow2Header(header, 'disk');
      assert(Number.isSafeInteger(virtualSizeBytes) && virtualSizeBytes >= 0, 'a size that is none');
      assert(Number.isFinite(maxVirtualSizeBytes), 'a largest size that is none');
    });
    const bytes = ext4Bytes(random);
    let last = -1;
    try {
      for await (const { start, count } of usedBlocks(memoryFile(bytes), 'image')) {
        assert(start > last && count > 0 && start + count <= IMAGE_BLOCKS, 'blocks out of order or outside');
        last = start + count - 1;
      }
    } catch (error) {
      outcome(() => {
        throw error;
      });
    }
  },
};
