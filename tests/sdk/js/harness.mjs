// The processes under test and the oracle: started on port 0, found by their first line, ended by their starter.

import { spawn } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { crc32 } from "node:zlib";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
export const SHORT_TEXT = "Hello from the testkit: the quick brown fox jumps over the lazy dog.";
export const THINKING_TEXT = "The user wants an answer, so I weigh the options and pick the shortest.";

/** The path from the environment, else the newest build under the repository root. */
function binary(variable, name) {
  if (process.env[variable]) return process.env[variable];
  const target = process.env.CARGO_TARGET_DIR ?? join(ROOT, "target");
  const built = ["release", "debug"].map((profile) => join(target, profile, name)).filter(existsSync);
  if (built.length === 0) throw new Error(`${name} is not built: build it with cargo or set ${variable}`);
  return built.sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)[0];
}

/** Makes a model name unique, so that its attempts are counted and found apart. */
export const tag = () => "t" + randomUUID().replaceAll("-", "").slice(0, 10);

/** A key of the form that Tollgate issues: 30 characters and their CRC-32 in six. */
export function virtualKey() {
  let body = "";
  while (body.length < 30) for (const byte of randomBytes(30)) if (byte < 248 && body.length < 30) body += ALPHABET[byte % 62];
  let [value, check] = [crc32(body), ""];
  for (let digit = 0; digit < 6; digit++) {
    check = ALPHABET[value % 62] + check;
    value = Math.floor(value / 62);
  }
  return `sk-tg-${body}${check}`;
}

async function start(command, args, log, env) {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", openSync(log, "w")], env });
  const lines = createInterface({ input: child.stdout });
  const first = await Promise.race([
    new Promise((done) => lines.once("line", done)),
    new Promise((done) => child.once("exit", () => done(""))),
  ]);
  try {
    return { child, ready: JSON.parse(first) };
  } catch {
    child.kill("SIGKILL");
    throw new Error(`${command} did not get ready: ${first}\n${readFileSync(log, "utf8").slice(-4000)}`);
  }
}

async function stop(child) {
  const gone = new Promise((done) => child.once("exit", done));
  if (child.exitCode === null && child.signalCode === null) {
    child.kill("SIGTERM");
    await gone;
  }
}

/** Both scripted providers and their oracle. */
export async function startTestkit() {
  const folder = mkdtempSync(join(tmpdir(), "testkit-"));
  const { child, ready } = await start(binary("TESTKIT_BIN", "tollgate-testkit"), ["--until-stdin-closes"], join(folder, "log"), process.env);
  const records = async (model, filters = {}) => {
    const query = new URLSearchParams({ model, ...filters });
    return (await fetch(`${ready.control}/records?${query}`)).json();
  };
  return {
    ...ready,
    records,
    attempts: async (model) => (await records(model)).length,
    ended: async (model) => (await records(model, { ended: 1, count: 1 }))[0],
    stop: async () => {
      await stop(child);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The gateway with one provider row per dialect, both scripted. */
export async function startTollgate(testkit) {
  const folder = mkdtempSync(join(tmpdir(), "tollgate-"));
  const config = join(folder, "tollgate.toml");
  writeFileSync(
    config,
    // The scripted models have no price.
    `[ledger]\nunknown_price = "book"\n\n[providers.oai]\nkind = "openai-compatible"\nbase_url = "${testkit.openai}"\napi_key = "test-openai"\n\n` +
      `[providers.ant]\nkind = "anthropic"\nbase_url = "${testkit.anthropic}"\napi_key = "test-anthropic"\n`,
  );
  const key = virtualKey();
  const args = ["serve", "--listen", "127.0.0.1:0", "--data", join(folder, "data"), "--config", config, "--json"];
  // No provider key of the machine may switch another provider on.
  const env = { PATH: process.env.PATH, HOME: folder, TOLLGATE_KEY: key };
  const { child, ready } = await start(binary("TOLLGATE_BIN", "tollgate"), args, join(folder, "log"), env);
  return {
    url: ready.url,
    key,
    stop: async () => {
      await stop(child);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
