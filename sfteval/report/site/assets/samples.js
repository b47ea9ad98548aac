// The sample browser: one suite of one run beside the runs it is compared with, filtered, by keyboard and by link.
"use strict";
document.addEventListener("DOMContentLoaded", async () => {
  const form = document.getElementById("filters");
  const list = document.getElementById("list");
  const shown = document.getElementById("sample");
  const count = document.getElementById("count");
  const runs = await SFT.need("runs");
  const parts = await SFT.need("parts");
  const byId = new Map(runs.map((run) => [run.id, run]));
  const MOST_ROWS = 2000;
  const MOST_WORDS = 800;
  let samples = [];
  let visible = [];
  let at = 0;
  let loading = 0;

  function options(name, values, keep) {
    const select = form.elements[name];
    select.replaceChildren(...values.map(([value, text]) => SFT.make("option", text, { value })));
    if (values.some(([value]) => value === keep)) select.value = keep;
  }

  // The store writes a surrogate, which no file format takes, as U+10FFFF and its last four hex digits.
  function decoded(value) {
    if (typeof value === "string") {
      return value.replace(/\u{10FFFF}([0-9a-f]{4})/gu, (_, hex) => (hex === "ffff" ? "\u{10FFFF}" : String.fromCharCode(parseInt(hex, 16))));
    }
    if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [decoded(k), decoded(v)]));
    return value;
  }

  // All samples of a run's suite, by task, id and repeat.
  async function load(run, suite) {
    const found = new Map();
    const sizes = (parts[run] || {})[suite] || [];
    const blocks = await Promise.all(sizes.map((_, number) => SFT.need(`samples/${run}/${suite}/${number}`)));
    for (const block of blocks) {
      block.sample_id.forEach((id, row) => {
        const sample = {};
        for (const name of Object.keys(block)) sample[name] = decoded(block[name][row]);
        found.set(JSON.stringify([sample.task, id, sample.repeat]), sample);
      });
    }
    return found;
  }

  async function choose(wanted) {
    const turn = ++loading;
    const run = byId.get(wanted.run) || runs[runs.length - 1];
    if (!run) { count.textContent = "There are no runs."; return; }
    options("run", [...runs].reverse().map((one) => [one.id, `${one.name} (${one.id})`]), run.id);
    const suites = Object.keys(run.suites);
    const suite = suites.includes(wanted.suite) ? wanted.suite : suites[0];
    options("suite", suites.map((name) => [name, name]), suite);
    form.elements.against.value = wanted.against || (run.base ? "base" : "previous");
    form.elements.flip.value = wanted.flip || "";
    form.elements.text.value = wanted.text || "";
    count.textContent = "Reading…";
    const roles = { candidate: run.id, base: run.base, previous: run.previous };
    const read = {};
    for (const [role, id] of Object.entries(roles)) read[role] = id ? await load(id, suite) : new Map();
    if (turn !== loading) return;
    samples = [...read.candidate].map(([key, candidate]) => ({
      key, candidate, base: read.base.get(key), previous: read.previous.get(key), run, suite,
    }));
    const order = new Intl.Collator(undefined, { numeric: true });
    const place = (one) => `${one.candidate.task} ${one.candidate.sample_id} ${one.candidate.repeat}`;
    samples.sort((a, b) => order.compare(place(a), place(b)));
    const tasks = [...new Set(samples.map((one) => one.candidate.task))].sort();
    options("task", [["", "all"], ...tasks.filter(Boolean).map((name) => [name, name])], wanted.task || "");
    const checks = [...new Set(samples.flatMap((one) => Object.keys(one.candidate.scores)))].sort();
    options("check", [["", "any"], ...checks.map((name) => [name, name])], wanted.check || "");
    const tags = [...new Set(samples.flatMap((one) => Object.entries(one.candidate.tags).map(([k, v]) => `${k}=${v}`)))];
    options("tag", [["", "all"], ...tags.sort().map((name) => [name, name])], wanted.tag || "");
    filter(wanted.id);
  }

  function change(one) {
    const other = one[form.elements.against.value];
    const check = form.elements.check.value;
    const names = check ? [check] : Object.keys(one.candidate.scores);
    let found = 0;
    for (const name of names) {
      if (!other || !(name in other.scores) || !(name in one.candidate.scores)) continue;
      const lower = one.run.lower_is_better.includes(`${one.suite}/${one.candidate.task}/${name}`);
      const step = (one.candidate.scores[name] - other.scores[name]) * (lower ? -1 : 1);
      if (step < found) found = step;
      else if (found >= 0 && step > found) found = step;
    }
    return found;
  }

  function fails(one) {
    const check = form.elements.check.value;
    const names = check ? [check] : Object.keys(one.candidate.scores);
    return names.some((name) => one.candidate.scores[name] === 0);
  }

  const FLIPS = {
    "": () => true,
    worse: (one) => change(one) < 0,
    better: (one) => change(one) > 0,
    failed: fails,
    errored: (one) => one.candidate.status !== "scored",
  };

  function filter(id) {
    const task = form.elements.task.value;
    const tag = form.elements.tag.value;
    const text = form.elements.text.value.toLowerCase();
    const check = form.elements.check.value;
    visible = samples.filter((one) => {
      const mine = one.candidate;
      if (task && mine.task !== task) return false;
      if (check && !(check in mine.scores) && mine.status === "scored") return false;
      if (tag && !Object.entries(mine.tags).some(([k, v]) => `${k}=${v}` === tag)) return false;
      if (text && ![mine.sample_id, mine.prompt, mine.output].some((part) => (part || "").toLowerCase().includes(text))) return false;
      return FLIPS[form.elements.flip.value](one);
    });
    list.replaceChildren(...visible.slice(0, MOST_ROWS).map(row));
    const more = visible.length > MOST_ROWS ? `; the first ${MOST_ROWS} are listed` : "";
    count.textContent = `${visible.length} of ${samples.length} samples${more}`;
    const found = id === undefined ? 0 : visible.findIndex((one) => one.candidate.sample_id === id);
    if (id !== undefined && found < 0) {
      shown.replaceChildren(SFT.make("p", `No sample ${id} among these.`));
      at = 0;
      return;
    }
    go(Math.max(0, found));
  }

  function row(one, number) {
    const step = change(one);
    const sign = step < 0 ? "▼ " : step > 0 ? "▲ " : "";
    const name = (one.candidate.task ? one.candidate.task + " / " : "") + one.candidate.sample_id;
    const repeat = one.candidate.repeat ? ` #${one.candidate.repeat}` : "";
    const line = SFT.make("div", sign + name + repeat, { role: "option", id: "row" + number, "aria-selected": "false" });
    line.addEventListener("click", () => go(number));
    return line;
  }

  function go(number) {
    if (!visible.length) { shown.replaceChildren(SFT.make("p", "Nothing matches.")); link(); return; }
    at = Math.min(Math.max(0, number), Math.min(visible.length, MOST_ROWS) - 1);
    for (const line of list.querySelectorAll("[aria-selected=true]")) line.setAttribute("aria-selected", "false");
    const line = document.getElementById("row" + at);
    line.setAttribute("aria-selected", "true");
    list.setAttribute("aria-activedescendant", line.id);
    line.scrollIntoView({ block: "nearest" });
    show(visible[at]);
    link();
  }

  function link() {
    const state = new URLSearchParams();
    for (const name of ["run", "suite", "task", "check", "against", "flip", "tag", "text"]) {
      if (form.elements[name].value) state.set(name, form.elements[name].value);
    }
    if (visible[at]) state.set("id", visible[at].candidate.sample_id);
    history.replaceState(null, "", "#" + state);
  }

  function show(one) {
    const mine = one.candidate;
    const other = one[form.elements.against.value];
    const parts = [SFT.make("h2", mine.sample_id), SFT.make("h3", "prompt"), SFT.make("pre", mine.prompt, focusable("prompt"))];
    const answers = SFT.make("div", null, { class: "answers" });
    for (const role of ["base", "previous", "candidate"]) {
      if (!one[role]) continue;
      const block = SFT.make("section");
      block.append(SFT.make("h3", role));
      const text = SFT.make("pre", null, focusable(role));
      if (role === "candidate" && other) text.append(...differences(other.output || "", mine.output || ""));
      else text.textContent = one[role].output;
      if (role === "candidate") mark(text, quoted(mine.evidence));
      block.append(text, SFT.make("p", facts(one[role]), { class: "quiet" }));
      answers.append(block);
    }
    const wide = SFT.make("div", null, { class: "wide", ...focusable("scores") });
    wide.append(scores(one));
    parts.push(answers, wide);
    shown.replaceChildren(...parts);
  }

  // What the checks' evidence quotes of the answer.
  function quoted(evidence) {
    const texts = Object.values(evidence).flatMap((text) => [...text.matchAll(/(['"])(.{2,}?)\1/g)].map((match) => match[2]));
    return [...new Set(texts)].sort((a, b) => b.length - a.length);
  }

  function mark(element, texts) {
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    const nodes = [];
    while (walker.nextNode()) nodes.push(walker.currentNode);
    for (const node of nodes) {
      const found = texts.find((text) => node.data.includes(text));
      if (!found || node.parentElement.tagName === "DEL") continue;
      const middle = node.splitText(node.data.indexOf(found));
      middle.splitText(found.length);
      const wrap = SFT.make("mark", found);
      middle.replaceWith(wrap);
    }
  }

  function focusable(name) { return { tabindex: "0", role: "region", "aria-label": name }; }

  function facts(sample) {
    const words = [`${sample.prompt_tokens} + ${sample.output_tokens} tokens`];
    if (sample.finish_reason) words.push(`ended by ${sample.finish_reason}`);
    if (sample.status !== "scored") words.push(sample.status + (sample.error ? ": " + sample.error : ""));
    return words.join(", ");
  }

  function scores(one) {
    const table = SFT.make("table");
    const head = SFT.make("tr");
    const roles = ["base", "previous", "candidate"].filter((role) => one[role]);
    for (const name of ["check", ...roles, "evidence"]) head.append(SFT.make("th", name, { scope: "col" }));
    const top = SFT.make("thead");
    top.append(head);
    const body = SFT.make("tbody");
    for (const name of Object.keys(one.candidate.scores)) {
      const line = SFT.make("tr");
      line.append(SFT.make("th", name, { scope: "row" }));
      for (const role of roles) {
        const value = one[role].scores[name];
        line.append(SFT.make("td", value === undefined ? "–" : String(Math.round(value * 1e4) / 1e4), { class: "n" }));
      }
      line.append(SFT.make("td", one.candidate.evidence[name] || ""));
      body.append(line);
    }
    table.append(SFT.make("caption", "scores"), top, body);
    return table;
  }

  // Word differences by longest common subsequence; long answers are shown as they are.
  function differences(before, after) {
    const a = before.split(/(\s+)/);
    const b = after.split(/(\s+)/);
    if (a.length > MOST_WORDS || b.length > MOST_WORDS) return [document.createTextNode(after)];
    const lengths = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
    for (let i = a.length - 1; i >= 0; i--) {
      for (let j = b.length - 1; j >= 0; j--) {
        lengths[i][j] = a[i] === b[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
      }
    }
    const found = [];
    const put = (tag, text) => {
      const last = found[found.length - 1];
      if (last && last.tag === tag) last.text += text;
      else found.push({ tag, text });
    };
    let i = 0;
    let j = 0;
    while (i < a.length || j < b.length) {
      if (i < a.length && j < b.length && a[i] === b[j]) { put("", a[i]); i++; j++; }
      else if (i < a.length && (j === b.length || lengths[i + 1][j] >= lengths[i][j + 1])) put("del", a[i++]);
      else put("ins", b[j++]);
    }
    return found.map(({ tag, text }) => (tag ? SFT.make(tag, text) : document.createTextNode(text)));
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    const wanted = Object.fromEntries(new FormData(form));
    if (["run", "suite"].includes(event.target.name)) choose({ ...wanted, against: "", id: undefined });
    else filter();
  });
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "j" || (event.key === "ArrowDown" && event.target === list)) { go(at + 1); event.preventDefault(); }
    else if (event.key === "k" || (event.key === "ArrowUp" && event.target === list)) { go(at - 1); event.preventDefault(); }
    else if (event.key === "/") { form.elements.text.focus(); event.preventDefault(); }
    else if (event.key === "l" && navigator.clipboard) navigator.clipboard.writeText(location.href).catch(() => {});
  });
  const fromLink = () => choose(Object.fromEntries(new URLSearchParams(location.hash.slice(1))));
  window.addEventListener("hashchange", fromLink);
  await fromLink();
});
