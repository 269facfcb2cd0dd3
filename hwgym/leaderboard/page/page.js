"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const config = { responsive: true, displayModeBar: false };
  const narrow = () => window.innerWidth <= 600;

  // Which agents the curves show.
  const shown = new Set(data.shown);
  const visible = (figure) => figure.data.map((t) => (t.meta === undefined || shown.has(t.meta)));

  function draw(id, figure) {
    const layout = structuredClone(figure.layout);
    if (narrow()) Object.assign(layout, { margin: { ...layout.margin, ...data.narrow[id] }, font: { ...layout.font, size: 11 } });
    const on = visible(figure);
    const traces = figure.data.map((t, i) => ({ ...t, visible: on[i] }));
    return Plotly.react(id, traces, layout, config);
  }

  const current = {};
  function show(id, key) {
    current[id] = key;
    return draw(id, data.figures[id][key]);
  }
  const all = Object.keys(data.figures).map((id) => show(id, Object.keys(data.figures[id])[0]));

  for (const select of document.querySelectorAll("select[data-chart]")) {
    select.addEventListener("change", () => show(select.dataset.chart, select.value));
  }
  for (const chip of document.querySelectorAll("button[data-agent]")) {
    chip.addEventListener("click", () => {
      const agent = chip.dataset.agent;
      if (!shown.delete(agent)) shown.add(agent);
      for (const same of document.querySelectorAll("button[data-agent]")) {
        same.setAttribute("aria-pressed", String(shown.has(same.dataset.agent)));
      }
      for (const id of data.toggled) show(id, current[id]);
    });
  }
  let before = narrow();
  window.addEventListener("resize", () => {
    if (narrow() !== before) {
      before = narrow();
      for (const id of Object.keys(current)) show(id, current[id]);
    }
  });

  // Tables: a click on a heading sorts by it, a second one the other way round.
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    const value = (row, i) => {
      const cell = row.cells[i];
      const given = cell.dataset.value;
      return given === undefined ? cell.textContent.trim() : given === "inf" ? Infinity : Number(given);
    };
    heads.forEach((head, i) => {
      const button = document.createElement("button");
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const rows = [...table.tBodies[0].rows];
        const order = (a, b) => (a === b ? 0 : (typeof a === "string" ? a.localeCompare(b) : a < b ? -1 : 1));
        rows.sort((a, b) => (up ? 1 : -1) * order(value(a, i), value(b, i)));
        table.tBodies[0].append(...rows);
      });
    });
  }
  Promise.all(all).then(() => document.documentElement.setAttribute("data-ready", "true"));
})();
