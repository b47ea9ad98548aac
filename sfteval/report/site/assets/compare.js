// Two to five runs side by side: means, changes against the first, and on demand what changed sample by sample.
"use strict";
document.addEventListener("DOMContentLoaded", async () => {
  const MOST = 5;
  const runs = await SFT.need("runs");
  const metrics = await SFT.need("metrics");
  const parts = await SFT.need("parts");
  const chosen = document.getElementById("chosen");
  const table = document.getElementById("table");
  const note = document.getElementById("note");
  const means = new Map(metrics.map(([run, suite, task, check, n, mean]) => [JSON.stringify([run, suite, task, check]), { n, mean }]));
  const places = [...new Set(metrics.map(([, suite, task, check]) => JSON.stringify([suite, task, check])))].map((place) => JSON.parse(place));
  const linked = new URLSearchParams(location.hash.slice(1)).getAll("run");
  const first = linked.length ? linked : runs.slice(-2).map((run) => run.id);

  for (const run of [...runs].reverse()) {
    const label = SFT.make("label");
    const box = SFT.make("input", null, { type: "checkbox", value: run.id });
    box.checked = first.includes(run.id);
    label.append(box, `${run.name} (${run.id})`);
    chosen.append(label);
  }

  function picked() {
    const ids = [...chosen.querySelectorAll("input:checked")].map((box) => box.value);
    return runs.filter((run) => ids.includes(run.id));
  }

  function show() {
    const now = picked();
    const state = new URLSearchParams(now.map((run) => ["run", run.id]));
    history.replaceState(null, "", "#" + state);
    if (now.length < 2 || now.length > MOST) {
      note.textContent = `Choose two to ${MOST} runs; ${now.length} are chosen.`;
      table.replaceChildren();
      return;
    }
    note.textContent = `Changes against ${now[0].name}, in points.`;
    const head = SFT.make("tr");
    for (const name of ["suite", "metric", ...now.map((run) => run.name), "samples"]) head.append(SFT.make("th", name, { scope: "col" }));
    const top = SFT.make("thead");
    top.append(head);
    const body = SFT.make("tbody");
    for (const place of places) {
      const values = now.map((run) => means.get(JSON.stringify([run.id, ...place])));
      if (values.filter(Boolean).length > 1) body.append(line(place, now, values));
    }
    table.replaceChildren(SFT.make("caption", `${body.children.length} metrics`), top, body);
  }

  function line(place, now, values) {
    const [suite, task, check] = place;
    const row = SFT.make("tr");
    row.append(SFT.make("th", suite + (task && task !== suite ? " / " + task : ""), { scope: "row" }), SFT.make("td", check));
    values.forEach((value, number) => {
      const cell = SFT.make("td", value ? value.mean.toFixed(3) : "–", { class: "n" });
      if (number && value && values[0]) {
        const step = 100 * (value.mean - values[0].mean);
        cell.append(SFT.make("br"), SFT.make("span", (step > 0 ? "+" : "") + step.toFixed(1), { class: "quiet" }));
      }
      row.append(cell);
    });
    const cell = SFT.make("td");
    const button = SFT.make("button", "Samples", { type: "button", "aria-label": `Samples of ${suite} ${check}` });
    button.addEventListener("click", async () => { cell.replaceChildren(...await counted(place, now)); });
    cell.append(button);
    row.append(cell);
    return row;
  }

  async function scores(run, [suite, task, check]) {
    const found = new Map();
    const sizes = (parts[run] || {})[suite] || [];
    for (let number = 0; number < sizes.length; number++) {
      const block = await SFT.need(`samples/${run}/${suite}/${number}`);
      block.sample_id.forEach((id, row) => {
        if (block.task[row] === task && check in block.scores[row]) found.set(JSON.stringify([id, block.repeat[row]]), block.scores[row][check]);
      });
    }
    return found;
  }

  async function counted(place, now) {
    const before = await scores(now[0].id, place);
    const found = [];
    for (const run of now.slice(1)) {
      const after = await scores(run.id, place);
      const keys = [...after.keys()].filter((key) => before.has(key));
      const up = keys.filter((key) => after.get(key) > before.get(key)).length;
      const down = keys.filter((key) => after.get(key) < before.get(key)).length;
      found.push(SFT.make("div", `${run.name}: ${up} up, ${down} down of ${keys.length} on both sides`));
    }
    return found;
  }

  chosen.addEventListener("change", show);
  show();
});
