// Drives yaml-language-server over LSP with a pipeline open, as an editor does, and checks what a
// user sees from the modeline alone.
//
//   node tests/editor/lsp.mjs SERVER.js PIPELINE.yaml…
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import assert from "node:assert/strict";

const [server, ...pipelines] = process.argv.slice(2);
const child = spawn(process.execPath, [resolve(server), "--stdio"], { stdio: ["pipe", "pipe", "inherit"] });
const pending = new Map();
const diagnostics = new Map();
const waiting = new Map();
let id = 0;
let version = 0;
let buffer = Buffer.alloc(0);

function send(message) {
  const body = Buffer.from(JSON.stringify({ jsonrpc: "2.0", ...message }));
  child.stdin.write(`Content-Length: ${body.length}\r\n\r\n`);
  child.stdin.write(body);
}

function request(method, params) {
  return new Promise((done, fail) => {
    id += 1;
    pending.set(id, { done, fail });
    send({ id, method, params });
  });
}

function receive(message) {
  if (message.id !== undefined && message.method === undefined) {
    const { done, fail } = pending.get(message.id);
    pending.delete(message.id);
    return message.error ? fail(new Error(message.error.message)) : done(message.result);
  }
  if (message.method === "textDocument/publishDiagnostics") {
    diagnostics.set(message.params.uri, message.params.diagnostics);
    waiting.get(message.params.uri)?.();
  } else if (message.method === "workspace/configuration") {
    // Only what a fresh installation has; no schema is configured anywhere.
    const settings = { yaml: { validate: true, hover: true, completion: true, schemaStore: { enable: false } } };
    send({ id: message.id, result: message.params.items.map((item) => settings[item.section] ?? null) });
  } else if (message.id !== undefined) {
    send({ id: message.id, result: null });
  }
}

child.stdout.on("data", (data) => {
  buffer = Buffer.concat([buffer, data]);
  for (;;) {
    const end = buffer.indexOf("\r\n\r\n");
    if (end < 0) return;
    const length = Number(/Content-Length: (\d+)/i.exec(buffer.subarray(0, end).toString())[1]);
    if (buffer.length < end + 4 + length) return;
    const body = buffer.subarray(end + 4, end + 4 + length).toString();
    buffer = buffer.subarray(end + 4 + length);
    receive(JSON.parse(body));
  }
});

// Opens a text under a path and waits for what the server says about it.
async function open(path, text) {
  const uri = pathToFileURL(resolve(path)).href;
  await closing;
  const said = new Promise((done) => waiting.set(uri, done));
  // The server caches what it parsed by path and version.
  version += 1;
  send({ method: "textDocument/didOpen", params: { textDocument: { uri, languageId: "yaml", version, text } } });
  await said;
  return uri;
}

// A closed document is said to have no faults: that must not be taken for the next one's.
let closing = Promise.resolve();

function close(uri) {
  closing = new Promise((done) => waiting.set(uri, done));
  send({ method: "textDocument/didClose", params: { textDocument: { uri } } });
}

// Labels offered where `mark` stands in the text.
async function complete(path, text) {
  const offset = text.indexOf("§");
  const before = text.slice(0, offset).split("\n");
  const uri = await open(path, text.replace("§", ""));
  const position = { line: before.length - 1, character: before.at(-1).length };
  const result = await request("textDocument/completion", { textDocument: { uri }, position });
  close(uri);
  return (result.items ?? result).map((item) => item.label);
}

const limit = setTimeout(() => {
  console.error("the language server said nothing for a minute");
  child.kill();
  process.exit(1);
}, 60_000);

await request("initialize", {
  processId: process.pid,
  rootUri: pathToFileURL(process.cwd()).href,
  capabilities: {
    workspace: { configuration: true },
    textDocument: { completion: { completionItem: { documentationFormat: ["markdown"] } }, hover: {} },
  },
});
send({ method: "initialized", params: {} });

for (const path of pipelines) {
  const text = readFileSync(path, "utf8");
  const modeline = text.split("\n")[0];
  assert.match(modeline, /^# yaml-language-server: \$schema=/, `${path} has a modeline`);
  const start = `${modeline}\ndata: {format: synthetic}\nbackbone: {kind: conv4s}\nmethod: {kind: fsct}\n`;

  const uri = await open(path, text);
  assert.deepEqual(diagnostics.get(uri), [], `${path} is valid in an editor`);
  const line = text.split("\n").findIndex((line) => line.startsWith("episode:"));
  // A pipeline over another may leave the section to that one.
  if (line >= 0 || !text.includes("\nextends:")) {
    const hover = await request("textDocument/hover", {
      textDocument: { uri },
      position: { line: line + 1, character: 4 },
    });
    assert.match(JSON.stringify(hover.contents), /Classes in an episode/, "hover shows the key's text");
  }
  close(uri);

  const keys = await complete(path, `${start}memory:\n  §\n`);
  for (const key of ["accumulation_steps", "amp", "loss_scale", "clear_cache_every"]) {
    assert.ok(keys.includes(key), `${key} is offered under memory:, not only ${keys}`);
  }
  const values = await complete(path, `${start}memory:\n  amp: §\n`);
  // The server quotes `off`, which YAML 1.1 would take for a boolean.
  const bare = values.map((value) => value.replaceAll('"', "")).toSorted();
  assert.deepEqual(bare, ["bf16", "f16", "off"], "the values of amp: are offered");

  const value = `${start}memory:\n  amp: f16\n`;
  const whole = await open(path, value);
  const meaning = await request("textDocument/hover", {
    textDocument: { uri: whole },
    position: { line: value.split("\n").length - 2, character: 3 },
  });
  assert.match(JSON.stringify(meaning.contents), /bfloat16/, "hover explains the values of amp:");
  close(whole);

  const wrong = await open(path, `${start}memory:\n  apm: f16\n`);
  const [fault] = diagnostics.get(wrong);
  assert.equal(fault?.range.start.line, 5, "a slip is marked on its line");
  assert.match(fault.message, /apm/, "and named");
  close(wrong);
  console.log(`${path}: valid, completed, hovered and marked`);
}

clearTimeout(limit);
await request("shutdown", null);
send({ method: "exit" });
