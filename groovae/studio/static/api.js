// The HTTP API of the studio's server; see docs/studio.md. All URLs are relative to the page.

async function request(path, options) {
  let response;
  try {
    response = await fetch(`api/${path}`, options);
  } catch {
    throw new Error("offline");
  }
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({}));
  throw new Error(error ?? `${path}: HTTP ${response.status}`);
}

const post = (path, body) =>
  request(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });

export const get = async (path) => (await request(path)).json();

// Runs a task: { grooves, seed, seconds, log }.
export const run = async (task, body) => (await post(task, body)).json();

// The MIDI file of a groove: { blob, address }, where the address is that of the file on the server.
export async function midiOf(groove) {
  const response = await post("midi", { groove });
  const place = response.headers.get("Content-Location");
  return { blob: await response.blob(), address: place && new URL(place, document.baseURI).href };
}

export const wavOf = async (groove) => (await post("wav", { groove })).blob();

export async function readMidi(file) {
  const path = `read?name=${encodeURIComponent(file.name)}`;
  const headers = { "Content-Type": "audio/midi" };
  return (await request(path, { method: "POST", headers, body: file })).json();
}

export async function soundFile(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: HTTP ${response.status}`);
  return response.arrayBuffer();
}

// Wraps an asynchronous function so that one call runs at a time and only the latest waits. What it
// returns, if anything, is a function that shows the result: it runs while the next call waits for
// the server.
export function latestOnly(call) {
  let running = false;
  let waiting = null;
  return async function start(...args) {
    waiting = args;
    if (running) return;
    running = true;
    try {
      let show;
      while (waiting) {
        const next = waiting;
        waiting = null;
        const answer = call(...next);
        show?.();
        show = await answer;
      }
      show?.();
    } finally {
      running = false;
    }
  };
}
