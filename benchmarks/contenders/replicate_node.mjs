// `replicate` 1.4.0 from npm: run() only. NODE_MODULES names the folder it is installed in.
import { createRequire } from "node:module";
import process from "node:process";

const require = createRequire(process.env.NODE_MODULES + "/");
const Replicate = require("replicate");

const [task, text] = process.argv.slice(2);
const { origin, seconds, mode } = JSON.parse(text);
if (task !== "noticing") throw new Error(`no task ${task}`);

// The clock that Python calls time.monotonic().
const now = () => Number(process.hrtime.bigint()) / 1e9;
const client = new Replicate({ auth: "token", baseUrl: `${origin}/v1` });
const started = { wall: now(), cpu: process.cpuUsage() };
const runs = await Promise.all(
  seconds.map(async (length) => {
    const output = await client.run("a/b", { input: { seconds: length }, wait: { mode } });
    return [now() - output.finished_at, output.requests];
  }),
);
const cpu = process.cpuUsage(started.cpu);
console.log(
  JSON.stringify({ wall: now() - started.wall, cpu: (cpu.user + cpu.system) / 1e6, runs }),
);
