/** A process that pulls one image: `node pull-process.js '{"reference":…,"store":…}'`. Prints one line of JSON. */
import { openBlobStore } from '../../src/blobs/index.js';
import { pullImage } from '../../src/registry/index.js';

export interface PullTask {
  readonly reference: string;
  readonly store: string;
}

const { reference, store } = JSON.parse(process.argv[2] ?? '{}') as PullTask;
try {
  const blobs = await openBlobStore(store);
  let receivedBytes = 0;
  const image = await pullImage(reference, {
    blobs,
    env: {},
    onProgress: (progress) => {
      // Whoever kills us wants to know how far we have got.
      if (progress.receivedBytes > receivedBytes) process.stderr.write(`${progress.receivedBytes}\n`);
      receivedBytes = progress.receivedBytes;
    },
  });
  await image.done;
  await image[Symbol.asyncDispose]();
  console.log(JSON.stringify({ manifestDigest: image.manifestDigest }));
} catch (error) {
  console.log(
    JSON.stringify({ error: error instanceof Error && 'code' in error ? error.code : String(error) }),
  );
}
