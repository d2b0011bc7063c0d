// Evaluates flags with flagd's in-process core for JavaScript; see ../python/engine.py for what goes in and comes out.
import { readFileSync } from 'node:fs';
import { FlagdCore } from '@openfeature/flagd-core';

const silent = { error() {}, warn() {}, info() {}, debug() {} };
const types = { boolean: false, string: '', integer: 0, float: 0, object: {} };

function ask(core, { key, type, context }) {
  const numbers = type === 'integer' || type === 'float' ? 'number' : type;
  try {
    const found = core.resolve(numbers, key, types[type], context, silent);
    return found.errorCode
      ? { error: found.errorCode }
      : { value: found.value, variant: found.variant ?? '', reason: found.reason };
  } catch (error) {
    return { error: error.code ?? 'GENERAL' };
  }
}

function answer({ document, asks }) {
  const core = new FlagdCore(undefined, silent);
  try {
    core.setConfigurations(document);
  } catch (error) {
    return { refused: error.message };
  }
  return { answers: asks.map((question) => ask(core, question)) };
}

const { documents } = JSON.parse(readFileSync(0, 'utf8'));
console.log(JSON.stringify(documents.map(answer)));
