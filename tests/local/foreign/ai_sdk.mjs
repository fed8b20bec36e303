// The Vercel AI SDK with @ai-sdk/replicate: `node ai_sdk.mjs MODULES ORIGIN TOKEN PNG`.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const [modules, origin, token] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const { generateImage, experimental_generateImage } = require("ai");
const { createReplicate } = require("@ai-sdk/replicate");
const replicate = createReplicate({ apiToken: token, baseURL: `${origin}/v1` });
const generate = generateImage ?? experimental_generateImage;

const step = (name) => console.log("ok:", name);

// It sends `prompt`, `size`, `aspect_ratio`, `seed` and `num_outputs` to every model.
const { image } = await generate({
  model: replicate.image("test/image"),
  prompt: "a teal square",
  size: "64x64",
  providerOptions: { replicate: { width: 8 } },
});
assert.ok(image.mediaType.startsWith("image/"), image.mediaType);
assert.ok(image.uint8Array.length > 50);
step("generateImage");

const version = (await (await fetch(`${origin}/v1/models/test/image`, {
  headers: { authorization: `Bearer ${token}` },
})).json()).latest_version.id;
const versioned = await generate({ model: replicate.image(`test/image:${version}`), prompt: "x" });
assert.ok(versioned.image.uint8Array.length > 50);
step("generateImage with a version");

await assert.rejects(
  generate({ model: replicate.image("test/none"), prompt: "x", maxRetries: 0 }), /not found/i);
step("errors");
process.exit(0);
