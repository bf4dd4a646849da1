// A command for Node: node main.mjs PHOTO...

import { readFile } from "node:fs/promises";
import { Viewfinder } from "./classify.mjs";

const { URL: url = "http://127.0.0.1:8000", KEY: key, MODEL: model, TIMEOUT_MS } = process.env;
const server = new Viewfinder(url, { key, timeoutMs: Number(TIMEOUT_MS ?? 30_000) });

async function main(paths) {
  const photos = await Promise.all(paths.map(async (path) => new Blob([await readFile(path)])));
  const answers =
    photos.length === 1
      ? [{ result: await server.classify(photos[0], { model }) }]
      : await server.classifyBatch(photos, { model });
  answers.forEach(({ result, error }, index) => {
    if (error) {
      console.error(`${paths[index]}: ${error.code}: ${error.message}`);
      process.exitCode = 1;
    } else {
      console.log(`${paths[index]}: ${result.class} ${(100 * result.confidence).toFixed(1)}%`);
    }
  });
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(`${error.name}: ${error.code ?? ""} ${error.message}`);
  process.exitCode = 1;
}
