// replicate 1.4.0 (npm) through the operations people use: `node replicate.mjs MODULES ORIGIN TOKEN PNG`.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";

const [modules, origin, token, png] = process.argv.slice(2);
const Replicate = createRequire(`${modules}/`)("replicate");
const { validateWebhook } = Replicate;
const client = new Replicate({ auth: token, baseUrl: `${origin}/v1`, useFileOutput: true });

const step = (name) => console.log("ok:", name);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
async function until(look) {
  for (let tries = 0; tries < 400; tries++) {
    if (await look()) return;
    await sleep(50);
  }
  throw new Error("not within 20 s");
}

assert.equal((await client.accounts.current()).username, "local");
assert.equal((await client.hardware.list())[0].sku, "cpu");
step("account, hardware");

assert.equal(await client.run("dashscope/hello-world", { input: { text: "Alice" } }), "hello Alice");
const version = (await client.models.get("dashscope", "hello-world")).latest_version.id;
assert.equal(
  await client.run(`dashscope/hello-world:${version}`, { input: { text: "Bob" } }), "hello Bob");
const statuses = [];
assert.equal(
  await client.run("dashscope/hello-world", { input: { text: "Eve" }, wait: { mode: "poll", interval: 50 } },
    (prediction) => statuses.push(prediction.status)), "hello Eve");
assert.equal(statuses.at(0), "starting");
assert.equal(statuses.at(-1), "succeeded");
assert.equal(
  await client.run("test/sleep", { input: { seconds: 1.5 }, wait: { mode: "block", timeout: 1 } }), "slept");
assert.deepEqual(await client.run("dashscope/countdown", { input: { start: 1 } }), ["1\n", "0\n"]);
step("run: by model, by version, polling, longer than the wait");

await assert.rejects(client.run("test/fails", { input: { message: "no luck" } }), /no luck/);
await assert.rejects(client.run("dashscope/hello-world", { input: {} }), /422.*input.text is required/s);
step("errors");

let text = "";
let last;
for await (const event of client.stream("dashscope/countdown", { input: { start: 2 } })) {
  text += event;
  last = event.event;
}
assert.equal(text, "2\n1\n0\n");
assert.equal(last, "done");
await assert.rejects(async () => {
  for await (const event of client.stream("test/fails-late", { input: {} })) String(event);
}, /too late/);
await assert.rejects(async () => {
  for await (const event of client.stream("dashscope/hello-world", { input: { text: "" } })) String(event);
}, /does not support streaming/);
step("stream");

let prediction = await client.predictions.create({ version, input: { text: "x" } });
assert.equal(prediction.status, "starting");
prediction = await client.wait(prediction, { interval: 50 });
assert.equal(prediction.output, "hello x");
prediction = await client.predictions.create({ model: "test/sleep", input: { seconds: 60 } });
await until(async () => (await client.predictions.get(prediction.id)).status === "processing");
assert.equal((await client.predictions.cancel(prediction.id)).status, "canceled");
const controller = new AbortController();
setTimeout(() => controller.abort(), 300);
let seenLast;
await client.run(
  "test/sleep", { input: { seconds: 60 }, signal: controller.signal, wait: { mode: "poll" } },
  (seen) => { seenLast = seen; });
assert.equal(seenLast.status, "canceled");
step("create, wait, cancel, abort");

const image = await readFile(png);
const small = await client.run("dashscope/thumbnail", { input: { image, width: 16 } });
assert.ok(String(small).startsWith(origin), String(small));
assert.equal((await fetch(small)).headers.get("content-type"), "image/png");
const file = await client.files.create(image, { a: { b: 1 } });
assert.deepEqual(file.metadata, { a: { b: 1 } });
assert.equal((await client.files.get(file.id)).size, image.length);
assert.ok((await client.files.list()).results.some((listed) => listed.id === file.id));
assert.equal(await client.files.delete(file.id), true);
step("files");

await client.models.create("local", "mine-3", { visibility: "private", hardware: "cpu" });
const markov = (await client.models.get("dashscope", "markov")).latest_version.id;
let training = await client.trainings.create("dashscope", "markov", markov, {
  destination: "local/mine-3",
  input: { text: "data:text/plain,one two three one two four" },
});
await until(async () => {
  training = await client.trainings.get(training.id);
  return ["succeeded", "failed"].includes(training.status);
});
assert.equal(training.status, "succeeded", training.error);
const trained = training.output.version;
assert.equal((await client.run(trained, { input: { prompt: "one two", length: 2 } })).length, 2);
assert.ok((await client.trainings.list()).results.length);
await client.trainings.cancel(training.id);
step("trainings");

await client.deployments.create({
  name: "d-3", model: "local/mine-3", version: trained.split(":")[1], hardware: "cpu",
  min_instances: 0, max_instances: 1,
});
prediction = await client.deployments.predictions.create("local", "d-3", { input: { prompt: "one" } });
assert.equal((await client.wait(prediction, { interval: 50 })).status, "succeeded");
assert.equal((await client.deployments.update("local", "d-3", { max_instances: 2 })).current_release.number, 2);
assert.equal((await client.deployments.get("local", "d-3")).name, "d-3");
assert.ok((await client.deployments.list()).results.length);
assert.equal(await client.deployments.delete("local", "d-3"), true);
step("deployments");

assert.equal((await client.models.search("hello")).results[0].name, "hello-world");
assert.ok((await client.models.list()).results.length);
assert.ok((await client.models.versions.list("dashscope", "markov")).length
  || (await client.models.versions.list("dashscope", "markov")).results.length);
assert.equal((await client.models.versions.get("dashscope", "markov", markov)).id, markov);
assert.ok((await client.collections.get("text")).models.length);
assert.ok((await client.collections.list()).results.length);
step("models, versions, search, collections");

for (let number = 0; number < 120; number++) {
  await client.predictions.create({ model: "dashscope/hello-world", input: { text: String(number) } });
}
const seen = new Set();
let count = 0;
for await (const page of client.paginate(client.predictions.list)) {
  for (const { id } of page) seen.add(id), count++;
}
assert.ok(count > 120);
assert.equal(seen.size, count);
step("paginate");

const secret = (await client.webhooks.default.secret.get()).key;
const received = await new Promise((resolve) => {
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => { body += chunk; });
    request.on("end", () => {
      response.end();
      server.close();
      resolve({ headers: request.headers, body });
    });
  });
  server.listen(0, "127.0.0.1", () => {
    client.predictions.create({
      model: "dashscope/hello-world", input: { text: "Ä" },
      webhook: `http://127.0.0.1:${server.address().port}/`, webhook_events_filter: ["completed"],
    });
  });
});
assert.equal(await validateWebhook(received, secret), true);
assert.equal(await validateWebhook({ ...received, body: `${received.body} ` }, secret), false);
step("webhook");
process.exit(0);
