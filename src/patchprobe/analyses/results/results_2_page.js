"use strict";

/* The page: one table at a time, its filters, its order, and a model that scores are compared with. */

const STEP = 100; // rows more at a time
const MANY = 60; // values of a column, above which it is filtered by what is typed
/* What is filtered by a range, however few numbers there are. */
const MEASURED = new Set(["value", "ci_low", "ci_high", "n"]);

start(({ header, arrays }) => {
  const tables = header.tables.map((facts) => new Table(facts, arrays));
  const pairs = intervalsOf(tables.find((table) => table.name === header.pairs));
  const state = { table: null, filters: new Map(), sort: null, shown: STEP, comparison: null };

  byId("pages").replaceChildren(...header.pages.map((page) => link(`${page.title} (${page.dataset})`, page.path, page.report)));
  const sections = new Map();
  tables.forEach((table, i) => {
    if (!sections.has(table.section)) sections.set(table.section, element("optgroup", { label: table.section }));
    sections.get(table.section).append(new Option(`${table.title} (${table.rows} rows)`, String(i)));
  });
  byId("table").append(...sections.values());
  byId("note").textContent = header.left_out.length
    ? `Too large for this page, and in results/tables/ alone: ${header.left_out.join(", ")}.`
    : "";

  /* Where a file is, as far as this page knows: beside this page in results/, or in the folders of Snakemake's report; elsewhere it has a name alone. */
  function link(text, path, folder) {
    const here = decodeURIComponent(window.location.pathname);
    const file = path.split("/").pop();
    if (here.endsWith("/pages/results.html")) return element("a", { href: `../${path}`, target: "_blank", textContent: text });
    if (/\/data\/raw\/[0-9a-f]{16,}\/results\.html$/.test(here)) {
      return element("a", { href: `../${folder}/${file}`, target: "_blank", textContent: text });
    }
    return element("span", { textContent: `${text}: results/${path} ` });
  }

  /* Those that tell rows apart, of these rows, and the score. */
  function columnsShown(rows) {
    const { table } = state;
    const ends = new Set(["ci_low", "ci_high"]);
    const names = table.columns.map((column) => column.name)
      .filter((name) => !ends.has(name) && (name === "value" || !table.constant(name, rows)))
      // How deep each model is goes without saying.
      .filter((name) => name !== "layer" || !table.key || table.key.includes("layer"));
    const made = names.map((name) => ({
      name,
      title: name,
      number: !table.byName.get(name).texts,
      valueOf: (row) => table.cell(name, row),
      cell: (row) => element("td", {
        textContent: name === "value" ? score(table.cell(name, row)) : table.text(name, row),
        title: fullOf(table.cell(name, row)),
      }),
    }));
    const value = made.findIndex((column) => column.name === "value");
    const after = [];
    if (table.byName.has("ci_low")) {
      after.push({
        name: "interval",
        title: `${100 * header.interval} % interval`,
        number: true,
        valueOf: (row) => table.cell("ci_low", row),
        cell: (row) => element("td", { textContent: range(table.cell("ci_low", row), table.cell("ci_high", row)) }),
      });
    }
    if (state.comparison) {
      const of = (row) => state.comparison.of(row);
      after.push(
        { name: "difference", title: "difference", number: true, valueOf: (row) => of(row)?.value ?? NaN, cell: (row) => difference(of(row)) },
        {
          name: "difference_interval",
          title: "its interval",
          number: true,
          valueOf: (row) => of(row)?.low ?? NaN,
          cell: (row) => element("td", { textContent: of(row)?.low === undefined ? "" : range(of(row).low, of(row).high) }),
        },
      );
    }
    made.splice(value + 1, 0, ...(value < 0 ? [] : after));
    return made;
  }

  /* Scores with as many decimals as each other, where they are no larger and no smaller than most. */
  function score(value) {
    const size = Math.abs(value);
    return Number.isFinite(value) && (size >= 0.00005 || size === 0) && size < 10 ? value.toFixed(4) : written(value);
  }

  function fullOf(value) {
    return typeof value === "number" && !Number.isInteger(value) && !Number.isNaN(value) ? String(value) : "";
  }

  function range(low, high) {
    return Number.isNaN(low) ? "" : `[${score(low)}, ${score(high)}]`;
  }

  function difference(found) {
    if (!found) return element("td");
    if (found.own) return element("td", { className: "reference", textContent: "compared with" });
    const sign = found.value > 0 ? "+" : "";
    const sure = found.low > 0 ? " ▲" : found.high < 0 ? " ▼" : "";
    const className = found.low > 0 ? "up" : found.high < 0 ? "down" : "";
    return element("td", { className, textContent: `${sign}${score(found.value)}${sure}`, title: String(found.value) });
  }

  function wanted() {
    const { table } = state;
    const tests = [...state.filters].map(([name, { test, is }]) => {
      if (is === undefined) return (row) => test(table.cell(name, row));
      return (row) => table.cell(name, row) === is;
    });
    const words = byId("words").value.toLowerCase().split(/\s+/).filter(Boolean);
    const texts = table.columns.filter((column) => column.texts).map((column) => column.name);
    if (words.length) {
      tests.push((row) => {
        const all = texts.map((name) => table.cell(name, row)).join("\n").toLowerCase();
        return words.every((word) => all.includes(word));
      });
    }
    const rows = [];
    for (let row = 0; row < table.rows; row++) if (tests.every((test) => test(row))) rows.push(row);
    return rows;
  }

  function showRows() {
    const { table } = state;
    const found = wanted();
    const columns = columnsShown(found);
    const by = state.sort && columns.find((column) => column.name === state.sort.name);
    const rows = by ? sortedRows(found, by.valueOf, state.sort.descending) : found;
    const heads = columns.map((column) => {
      const own = by === column;
      const arrow = own ? (state.sort.descending ? " ↓" : " ↑") : "";
      const button = element("button", { type: "button", textContent: column.title + arrow });
      button.addEventListener("click", () => sortBy(column.name));
      const order = own ? (state.sort.descending ? "descending" : "ascending") : "none";
      const head = element("th", { scope: "col", className: column.number ? "number" : "", "aria-sort": order }, button);
      head.dataset.name = column.name;
      return head;
    });
    const body = element("tbody");
    for (const row of rows.slice(0, state.shown)) {
      const cells = columns.map((column) => {
        const cell = column.cell(row);
        if (column.number) cell.classList.add("number");
        return cell;
      });
      body.append(element("tr", {}, ...cells));
    }
    const focused = document.activeElement?.closest?.("th")?.dataset.name;
    byId("rows").replaceChildren(
      element("caption", { className: "hidden", textContent: table.title }),
      element("thead", {}, element("tr", {}, ...heads)),
      body,
    );
    heads.find((head) => focused && head.dataset.name === focused)?.firstChild.focus({ preventScroll: true });
    byId("count").textContent = `${rows.length} of ${table.rows} rows`;
    byId("more").hidden = rows.length <= state.shown;
    byId("more").textContent = `Show more rows (${rows.length - state.shown})`;
    const shown = new Set([...columns.map((column) => column.name), "ci_low", "ci_high"]);
    const same = rows.length ? table.columns.filter(({ name }) => !shown.has(name) && table.constant(name, rows) && table.text(name, rows[0]) !== "") : [];
    byId("constant").textContent = same.length
      ? `The same in these rows: ${same.map(({ name }) => `${name} ${table.text(name, rows[0])}`).join(", ")}.`
      : "";
    for (const label of byId("filters").children) {
      label.classList.toggle("filtered", state.filters.has(label.dataset.name));
    }
  }

  function sortBy(name) {
    const again = state.sort && state.sort.name === name;
    if (again && state.sort.descending) state.sort = null;
    else state.sort = { name, descending: again };
    showRows();
  }

  function filterOf(name) {
    const numeric = !state.table.byName.get(name).texts;
    const values = state.table.distinct(name);
    const current = state.filters.get(name);
    if (values.length > MANY || MEASURED.has(name)) {
      const input = element("input", {
        type: "text", value: current?.typed ?? "", placeholder: numeric ? "> 0.5" : "part",
      });
      input.addEventListener("input", () => {
        const test = testOf(input.value, numeric);
        if (test) state.filters.set(name, { test, typed: input.value });
        else state.filters.delete(name);
        state.shown = STEP;
        showRows();
      });
      return input;
    }
    const options = values.map((value, i) => new Option(value === "" ? "(none)" : numeric ? written(value) : value, String(i)));
    const select = element("select", {}, new Option("all", "all"), ...options);
    select.value = current ? String(values.indexOf(current.is)) : "all";
    select.addEventListener("change", () => {
      if (select.value === "all") state.filters.delete(name);
      else state.filters.set(name, { is: values[Number(select.value)] });
      state.shown = STEP;
      showRows();
    });
    return select;
  }

  function showFilters() {
    const names = state.table.columns.map((column) => column.name).filter((name) => !state.table.constant(name));
    byId("filters").parentElement.open = window.innerWidth > 640;
    const labels = names.map((name) => {
      const label = element("label", {}, name, filterOf(name));
      label.dataset.name = name;
      return label;
    });
    const all = element("button", { type: "button", id: "reset", textContent: "All rows" });
    all.addEventListener("click", () => {
      state.filters = new Map();
      byId("words").value = "";
      showFilters();
      showRows();
    });
    byId("filters").replaceChildren(...labels, all);
  }

  /* At first the overall scores of clean tiles, where a table has more. */
  function preset(table) {
    const wishes = { metric: "pixel_miou", class: "", corruption: "clean" };
    const known = Object.entries(wishes).filter(([name, value]) => {
      const texts = table.byName.get(name)?.texts;
      return texts && texts.length > 1 && texts.includes(value);
    });
    return new Map(known.map(([name, is]) => [name, { is }]));
  }

  function choose(table) {
    Object.assign(state, { table, filters: preset(table), sort: null, shown: STEP });
    byId("words").value = "";
    const before = byId("reference").value;
    const owners = table.references();
    const known = [...header.views.filter((view) => new Set(owners).has(view))];
    const options = [...known, ...[...owners].filter((view) => !known.includes(view)).sort()];
    byId("reference").replaceChildren(new Option("no model", ""), ...options.map((view) => new Option(view, view)));
    byId("reference").value = options.includes(before) ? before : "";
    byId("reference").disabled = !options.length;
    const figures = table.figures.map((figure) => link(`${figure.title}${figure.dataset && ` (${figure.dataset})`}`, figure.path, figure.report));
    const own = link("this table as CSV", `tables/${table.name}.csv`, table.report);
    byId("links").replaceChildren(...(figures.length ? ["Figures:", ...figures] : []), own);
    showFilters();
    compare();
  }

  function compare() {
    const reference = byId("reference").value;
    state.comparison = reference ? new Comparison(state.table, reference, pairs, header.paired) : null;
    byId("explained").textContent = reference
      ? `Difference: score less that of ${reference}. Its interval is known for pixel_miou and pixel_accuracy of patch classification on clean tiles alone.`
      : "";
    if (state.sort && state.sort.name.startsWith("difference") && !reference) state.sort = null;
    showRows();
  }

  byId("table").addEventListener("change", () => choose(tables[Number(byId("table").value)]));
  byId("reference").addEventListener("change", compare);
  byId("words").addEventListener("input", () => {
    state.shown = STEP;
    showRows();
  });
  byId("more").addEventListener("click", () => {
    state.shown += 4 * STEP;
    showRows();
  });
  const first = tables.findIndex((table) => table.name === "patch_classification");
  byId("table").value = String(Math.max(0, first));
  if (tables.length) choose(tables[Math.max(0, first)]);
  byId("status").remove();
  document.documentElement.dataset.ready = "true";
});
