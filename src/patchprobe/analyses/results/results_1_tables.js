"use strict";

/* Tables as columns of numbers or of numbered texts: what a row has, which rows are wanted, in which order. */

class Table {
  constructor(facts, arrays) {
    Object.assign(this, facts);
    this.columns.forEach((column, i) => {
      column.values = arrays[`${this.name} ${i}`];
    });
    this.byName = new Map(this.columns.map((column) => [column.name, column]));
  }

  /* Text, or a number that is NaN where there is none. */
  cell(name, row) {
    const column = this.byName.get(name);
    return column.texts ? column.texts[column.values[row]] : column.values[row];
  }

  /* Nothing where a number only fills its place: a feature below 0, a position on no axis. */
  text(name, row) {
    const value = this.cell(name, row);
    if (name === "feature" && value < 0) return "";
    if (name === "at" && this.byName.has("axis") && this.cell("axis", row) === "") return "";
    return typeof value === "number" ? written(value) : value;
  }

  distinct(name) {
    const column = this.byName.get(name);
    if (column.texts) return [...column.texts].sort();
    return [...new Set(column.values)].filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
  }

  /* Whether a column has one value in some rows, or in all of them: it says nothing in a row then. */
  constant(name, rows = null) {
    const { values } = this.byName.get(name);
    return rows ? rows.every((row) => Object.is(values[row], values[rows[0]])) : values.every((value) => Object.is(value, values[0]));
  }

  viewOf(row) {
    return `${this.cell("model", row)} ${this.cell("variant", row)}`.trim();
  }

  /* Whose score others can be compared with: models, or where a variant is a part of the features of each, models alone. */
  references() {
    if (!this.key) return [];
    const whole = this.key.includes("variant");
    return new Set(Array.from({ length: this.rows }, (_, row) => (whole ? this.cell("model", row) : this.viewOf(row))));
  }

  ownerOf(row) {
    return this.key.includes("variant") ? this.cell("model", row) : this.viewOf(row);
  }

  keyOf(row) {
    return JSON.stringify(this.key.map((name) => this.cell(name, row)));
  }
}

/* The test of a filter as it was typed, of a column of numbers or texts; null for one that lets all rows through. */
function testOf(typed, numeric) {
  const words = typed.trim();
  if (!words) return null;
  if (!numeric) return (text) => text.toLowerCase().includes(words.toLowerCase());
  const range = words.match(/^(-?[\d.]+(?:e-?\d+)?)\s*\.\.\s*(-?[\d.]+(?:e-?\d+)?)$/i);
  if (range) return (value) => value >= Number(range[1]) && value <= Number(range[2]);
  const compared = words.match(/^(>=|<=|>|<|=)?\s*(.+)$/);
  const limit = Number(compared[2]);
  if (Number.isNaN(limit)) return () => false;
  return {
    ">": (value) => value > limit,
    "<": (value) => value < limit,
    ">=": (value) => value >= limit,
    "<=": (value) => value <= limit,
  }[compared[1]] || ((value) => value === limit || written(value) === words);
}

/* Rows in order of the values of a function, numbers as numbers; what is empty comes last either way. */
function sortedRows(rows, valueOf, descending) {
  const values = new Map(rows.map((row) => [row, valueOf(row)]));
  const empty = (value) => value === "" || value === null || Number.isNaN(value);
  return [...rows].sort((a, b) => {
    const [first, second] = [values.get(a), values.get(b)];
    if (empty(first) || empty(second)) return empty(first) - empty(second) || a - b;
    const order = typeof first === "number" ? first - second : first.localeCompare(second, "en", { numeric: true });
    return (descending ? -order : order) || a - b;
  });
}

/* Differences to a model, and their intervals where the table of pairs has them; the other way round they change their sign. */
class Comparison {
  constructor(table, reference, pairs, paired) {
    this.table = table;
    this.reference = reference;
    this.pairs = pairs;
    this.paired = paired;
    this.scores = new Map();
    for (let row = 0; row < table.rows; row++) {
      if (table.ownerOf(row) === reference) this.scores.set(table.keyOf(row), table.cell("value", row));
    }
  }

  of(row) {
    if (this.table.ownerOf(row) === this.reference) return { own: true, value: 0 };
    const score = this.scores.get(this.table.keyOf(row));
    if (score === undefined) return null;
    const value = this.table.cell("value", row) - score;
    return Number.isNaN(value) ? null : { value, ...this.interval(row) };
  }

  interval(row) {
    const { table } = this;
    const has = (name) => table.byName.has(name);
    const told = this.pairs && has("protocol") && table.cell("protocol", row).startsWith(`${this.paired}-v`);
    if (!told || table.key.includes("variant") || table.cell("corruption", row) !== "clean" || table.cell("axis", row)) return {};
    if (table.cell("class", row)) return {};
    const names = ["dataset", "method", "metric", "seed"].map((name) => table.text(name, row));
    const found = this.pairs.get(JSON.stringify([table.viewOf(row), this.reference, ...names]));
    if (found) return found;
    const back = this.pairs.get(JSON.stringify([this.reference, table.viewOf(row), ...names]));
    return back ? { low: -back.high, high: -back.low } : {};
  }
}

/* The intervals of a table of paired differences: first and other, data set, method, metric and seed to both ends. */
function intervalsOf(table) {
  if (!table) return null;
  const found = new Map();
  for (let row = 0; row < table.rows; row++) {
    const other = `${table.cell("other_model", row)} ${table.cell("other_variant", row)}`.trim();
    const names = ["dataset", "method", "metric", "seed"].map((name) => table.text(name, row));
    const [low, high] = [table.cell("ci_low", row), table.cell("ci_high", row)];
    if (!Number.isNaN(low)) found.set(JSON.stringify([table.viewOf(row), other, ...names]), { low, high });
  }
  return found;
}
