"use strict";
// What a user typed, and what the function answers, is only ever put in as text.
const $ = (id) => document.getElementById(id);
const state = { limits: { texts: 128, body: 1 << 20 }, labels: [], pairs: "refused", problem: "", rows: [], stop: null };

function make(tag, text, className) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
}

function facts(list, pairs) {
  list.replaceChildren(...pairs.flatMap(([name, value]) => [make("dt", name), make("dd", value)]));
}

// A regression's number is in the unit of its model, and no share of anything.
const isShare = () => state.problem !== "regression";
const shown = (score) => (isShare() ? `${(100 * score).toFixed(1)} %` : String(Number(score.toPrecision(6))));

// Asked only when somebody looks at the page or uses it: an open page must not keep a pod alive.
async function refresh() {
  if (document.hidden) return;
  try {
    const answer = await fetch("page/state");
    const about = await answer.json();
    if (!answer.ok) throw new Error(about.detail);
    Object.assign(state, { limits: about.limits, labels: about.labels, pairs: about.pairs, problem: about.problem_type });
    showSecond();
    const up = about.agents.some((agent) => agent.state === "ready");
    $("dot").className = up ? "up" : "down";
    $("ready").textContent = up ? "Ready" : `No agent is ready: ${[...new Set(about.agents.map((agent) => agent.reason))].join("; ")}`;
    $("metrics").hidden = !about.links.metrics;
    $("state").title = `As of ${new Date().toLocaleTimeString()}`;
    const digest = about.model.sha256 ? about.model.sha256.slice(0, 12) : "no digest";
    const stated = [about.model.description, about.model.limits].filter(Boolean);
    $("purpose").textContent = stated.join(" ") || "The model's file does not say what the model is for, nor where it fails.";
    facts($("about"), [
      ["Model", `${about.model.name} (${digest})`],
      ...about.agents.map((agent) => ["Agent", `${agent.state} since ${new Date(agent.since).toLocaleString()}`]),
      ["Version", about.version],
    ]);
  } catch {
    $("dot").className = "down";
    $("ready").textContent = "The function does not answer";
  }
}

// A model of pairs gets a second box; with a text on each line, all of them go with what is in it.
function showSecond() {
  $("second").hidden = state.pairs === "refused";
  $("optional").hidden = state.pairs === "required";
}

const hasSecond = () => !$("second").hidden && $("pair").value.trim() !== "";
const withSecond = (item) => (hasSecond() ? { ...item, text_pair: $("pair").value } : item);

// What the function says of a text, in the words of the page: its place in a request means nothing to a user.
const inWords = (detail) => detail.replace(/^(texts\[\d+\]|the text)'s text_pair/, "the second text")
  .replace(/^texts\[\d+\]/, "the text").replace("its text_pair", "the second text");

async function ask(body, signal) {
  let answer;
  try {
    answer = await fetch("classify", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The function does not answer.");
  }
  const data = await answer.json().catch(() => ({ detail: `Status ${answer.status}` }));
  if (!answer.ok) {
    const wait = answer.headers.get("Retry-After");
    throw new Error(inWords(data.detail) + (wait ? ` (try again in ${wait} s)` : ""));
  }
  return { data, timing: answer.headers.get("Server-Timing") || "", id: answer.headers.get("X-Request-Id") || "" };
}

function times(header) {
  return header.split(",").map((part) => part.trim().split(";dur=")).filter(([, ms]) => ms)
    .map(([name, ms]) => `${name} ${Number(ms).toFixed(1)}`).join(", ");
}

function meterOf(label, score) {
  const meter = make("meter");
  meter.max = 1;
  meter.value = score;
  meter.setAttribute("aria-label", label);
  return meter;
}

function showOne(prediction) {
  $("label").textContent = prediction.label;
  $("bars").replaceChildren(...Object.entries(prediction.scores).map(([label, score]) => {
    const row = make("div", undefined, label === prediction.label ? "bar best" : "bar");
    row.append(make("span", label), ...(isShare() ? [meterOf(label, score)] : []), make("span", shown(score)));
    return row;
  }));
  if (prediction.truncated) $("bars").append(make("p", `The text is longer: only ${prediction.tokens} tokens of it were seen.`));
}

function showRow(row) {
  const line = make("tr");
  line.append(make("td", row.text));
  if (row.error) {
    line.className = "bad";
    const cell = make("td", row.error);
    cell.colSpan = 2 + state.labels.length;
    line.append(cell);
  } else {
    line.append(make("td", row.label), make("td", shown(row.score)));
    line.append(...state.labels.map((label) => make("td", shown(row.scores[label]))));
  }
  $("rows").append(line);
}

function csv() {
  const field = (value) => {
    let text = String(value);
    if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`; // no formula in a spreadsheet
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const texts = state.rows.some((row) => row.text_pair !== undefined) ? ["text", "text_pair"] : ["text"];
  const lines = [[...texts, "label", "score", ...state.labels, "error"], ...state.rows.map((row) => row.error
    ? [...texts.map((name) => row[name]), "", "", ...state.labels.map(() => ""), row.error]
    : [...texts.map((name) => row[name]), row.label, row.score, ...state.labels.map((label) => row.scores[label]), ""])];
  return lines.map((line) => line.map(field).join(",")).join("\r\n") + "\r\n";
}

function download() {
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.download = "predictions.csv";
  link.click();
  URL.revokeObjectURL(link.href);
}

// Requests that hold no more texts and bytes than the function takes; an item that is too large for any is alone.
function* requests(items) {
  const bytes = (value) => new TextEncoder().encode(JSON.stringify(value)).length;
  const empty = () => ({ texts: [], errors: "item" });
  let body = empty(), size = bytes(body);
  for (const item of items) {
    const more = bytes(item) + 1;
    if (body.texts.length && (body.texts.length >= state.limits.texts || size + more > state.limits.body)) {
      yield body;
      body = empty();
      size = bytes(body);
    }
    body.texts.push(item);
    size += more;
    if (size > state.limits.body) body.tooLarge = true;
  }
  yield body;
}

async function predictions(body, signal) {
  if (body.tooLarge) return [{ error: { detail: `the text is too long; at most ${state.limits.body} bytes in a request (MAX_BODY)` } }];
  return (await ask(body, signal)).data.predictions;
}

async function classifyLines(texts, signal) {
  state.rows = [];
  $("label").textContent = "";
  $("bars").replaceChildren();
  $("rows").replaceChildren();
  $("head").replaceChildren(...["Text", "Label", "Score", ...state.labels].map((name) => make("th", name)));
  $("many").hidden = $("result").hidden = false;
  const counts = {};
  for (const body of requests(texts.map((text) => withSecond({ text })))) {
    (await predictions(body, signal)).forEach((prediction, i) => {
      const row = { ...body.texts[i], ...prediction, error: prediction.error && inWords(prediction.error.detail) };
      state.rows.push(row);
      counts[row.label || "error"] = (counts[row.label || "error"] || 0) + 1;
      showRow(row);
    });
    const summary = Object.entries(counts).map(([label, count]) => `${label} ${count}`).join(", ");
    $("count").textContent = `${state.rows.length} of ${texts.length}: ${summary}`;
  }
  return [];
}

async function classifyOne(text, signal) {
  const { data, timing, id } = await ask(withSecond({ text }), signal);
  $("many").hidden = true;
  $("result").hidden = false;
  showOne(data);
  return [["In the function, ms", times(timing)], ["Tokens", data.tokens],
    ["Model", `${data.model.name} (${(data.model.sha256 || "no digest").slice(0, 12)})`],
    ["Request", id]];
}

async function submit(event) {
  event.preventDefault();
  if (state.stop) return;
  const text = $("text").value;
  const lines = text.split("\n").filter((line) => line.trim());
  state.stop = new AbortController();
  $("go").disabled = true;
  $("stop").hidden = !$("lines").checked;
  $("error").hidden = true;
  const began = performance.now();
  try {
    if (state.pairs === "required" && !hasSecond()) throw new Error("Fill in the second text: this model takes pairs of texts.");
    const many = $("lines").checked && lines.length > 0;
    const more = many ? await classifyLines(lines, state.stop.signal) : await classifyOne(text, state.stop.signal);
    facts($("facts"), [["Time taken", `${(performance.now() - began).toFixed(0)} ms`], ...more]);
    if ($("dot").className !== "up") refresh();
  } catch (error) {
    if (error.name !== "AbortError") {
      refresh();
      $("error").textContent = error.message;
      $("error").hidden = false;
      $("result").hidden = state.rows.length === 0 || !$("lines").checked;
    }
  } finally {
    state.stop = null;
    $("go").disabled = false;
    $("stop").hidden = true;
  }
}

$("form").addEventListener("submit", submit);
$("stop").addEventListener("click", () => state.stop && state.stop.abort());
$("csv").addEventListener("click", download);
for (const name of ["text", "pair"]) {
  $(name).addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("form").requestSubmit();
  });
}
$("text").addEventListener("paste", () => setTimeout(() => {
  if ($("text").value.trim().split("\n").length > 1) $("lines").checked = true;
}));
document.addEventListener("visibilitychange", refresh);
refresh();
