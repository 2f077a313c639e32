// The official TypeScript SDKs, as npm has them and with their own retries. Each line of the input is
// `[api, what, where, who]` in JSON; the answer to each is one line of JSON.

import { createInterface } from "node:readline";

import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const { urls, keys } = JSON.parse(process.env.CARNET_TEST_SDK);
const messages = [{ role: "user", content: "Say stub." }];
const long = { headers: { "stub-events": "2000", "stub-pause": "0.01" } };
const short = { headers: { "stub-events": "40", "stub-pause": "0.02" } };

const apis = {
  anthropic: {
    sdk: Anthropic,
    client: (where, who) => new Anthropic({ baseURL: urls[where], apiKey: keys[who] }),
    ask: (client, more, options) => client.messages.create({ max_tokens: 50, messages, ...more }, options),
  },
  openai: {
    sdk: OpenAI,
    client: (where, who) => new OpenAI({ baseURL: `${urls[where]}/v1`, apiKey: keys[who] }),
    ask: (client, more, options) => client.chat.completions.create({ messages, ...more }, options),
  },
  responses: {
    sdk: OpenAI,
    client: (where, who) => new OpenAI({ baseURL: `${urls[where]}/v1`, apiKey: keys[who] }),
    ask: (client, more, options) => client.responses.create({ input: "Say stub.", ...more }, options),
  },
};

function errorOf(sdk, error) {
  return {
    error: error.constructor.name,
    of_the_sdk: error instanceof sdk.APIError,
    permission: error instanceof sdk.PermissionDeniedError,
    status: error.status ?? null,
    type: error.type ?? null,
    code: error.code ?? null,
    body: error.error ?? null,
    said: error.message,
  };
}

async function read(stream, count = Infinity, events = []) {
  const iterator = stream[Symbol.asyncIterator]();
  return rest(iterator, count, events);
}

async function rest(iterator, count, events) {
  while (events.length < count) {
    const { done, value } = await iterator.next();
    if (done) break;
    events.push(value);
  }
  return { iterator, events };
}

const open = {};

const steps = {
  async plain({ ask }, client) {
    return { answer: await ask(client, { model: "claude-fable-5" }) };
  },
  async stream({ ask }, client) {
    return { events: (await read(await ask(client, { model: "claude-fable-5", stream: true }))).events };
  },
  async short({ ask }, client) {
    return { events: (await read(await ask(client, { model: "plain-model", stream: true }, short))).events };
  },
  async begin({ ask }, client, name, who) {
    const options = who === "elodie" ? long : short;
    const begun = await read(await ask(client, { model: "plain-model", stream: true }, options), 3);
    open[`${name} ${who}`] = begun;
    return { events: begun.events };
  },
  async end(_, __, name, who) {
    const { iterator, events } = open[`${name} ${who}`];
    return { events: (await rest(iterator, Infinity, events)).events };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const [name, step, where, who] = JSON.parse(line);
  const api = apis[name];
  let found;
  try {
    found = await steps[step](api, api.client(where, who), name, who);
  } catch (error) {
    found = errorOf(api.sdk, error);
    if (step === "end") found.events = open[`${name} ${who}`].events;
  }
  console.log(JSON.stringify(found));
}
