"use strict";

/** The colours of the plots, of methods in their order. */
const COLORS = [
  [31, 90, 160], [214, 96, 20], [30, 132, 73], [176, 42, 92], [116, 80, 182], [138, 98, 38],
  [15, 140, 150], [196, 150, 0], [90, 100, 110], [220, 90, 140], [110, 150, 40], [70, 130, 220],
];
const WIDTH = 400;
const HEIGHT = 240;
const EDGE = { left: 52, right: 12, top: 12, bottom: 34 };

const data = JSON.parse(document.getElementById("data").textContent);
const groups = data.table;
const methods = [...new Set(groups.map((group) => group.method))];
/** Methods and values that the charts leave out. */
const hidden = new Set();
/** What draws each chart anew. */
const charts = [];

const css = ([r, g, b]) => `rgb(${r} ${g} ${b})`;
const methodColor = (method) => css(COLORS[methods.indexOf(method) % COLORS.length]);
/** Groups of a method have its colour; of values lighter ones, told apart by dashes. */
const dash = (group) => {
  const own = groups.filter((other) => other.method === group.method).indexOf(group);
  return ["", "6 3", "2 3", "8 3 2 3", "1 4"][own % 5];
};
const shown = (group) =>
  !hidden.has(`method ${group.method}`) && !group.values.some((value, i) => hidden.has(`${data.varied[i]} ${value}`));

/** An element with attributes and children. */
function element(name, attributes = {}, ...children) {
  const svg = ["svg", "g", "path", "line", "circle", "rect", "text", "title"].includes(name);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** A number without digits that say nothing. */
function number(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return value.toExponential(1);
  return String(Number(value.toPrecision(4)));
}

/** Places for ticks between two numbers. */
function ticks(low, high, log) {
  if (log) {
    const all = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++) {
      for (const digit of [1, 2, 5]) all.push(digit * 10 ** e);
    }
    const inside = all.filter((tick) => tick >= low && tick <= high);
    if (inside.length < 3) return ticks(low, high, false);
    return inside.length > 7 ? inside.filter((tick) => /^1/.test(tick.toExponential())) : inside;
  }
  const raw = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= raw) ?? 10);
  const all = [];
  for (let i = Math.ceil(low / step); i * step <= high + 1e-9 * step; i++) all.push(i * step);
  return all;
}

/** The map of an axis from its numbers to pixels. */
function scale(values, from, to, log) {
  const finite = values.filter((value) => Number.isFinite(value) && (!log || value > 0));
  let low = finite.length ? Math.min(...finite) : log ? 1 : 0;
  let high = finite.length ? Math.max(...finite) : log ? 10 : 1;
  if (log) {
    [low, high] = low === high ? [low / 2, high * 2] : [low / 1.05, high * 1.05];
  } else {
    const margin = Math.max(0.04 * (high - low), 0.01 * Math.abs(high), 1e-9);
    [low, high] = [low - margin, high + margin];
  }
  const f = log ? Math.log : (value) => value;
  const place = (value) => from + ((f(value) - f(low)) / (f(high) - f(low))) * (to - from);
  return { low, high, log, place };
}

const tip = document.getElementById("tip");

function tell(event, text) {
  tip.textContent = text;
  tip.hidden = !text;
  const right = event.clientX + 16 + tip.offsetWidth > innerWidth;
  tip.style.left = `${right ? event.clientX - 12 - tip.offsetWidth : event.clientX + 16}px`;
  tip.style.top = `${Math.min(event.clientY + 12, innerHeight - tip.offsetHeight - 4)}px`;
}

/**
 * A chart in `parent`. `series()` gives what is shown now: lines of points [x, y] with a band, dots or bars.
 * `options.log` says which axes can be logarithmic, `options.xTicks` where ticks of x stand.
 */
function chart(parent, title, options, series) {
  const log = { x: options.startLogX ?? false, y: options.startLogY ?? false };
  const caption = element("figcaption", {}, element("span", {}, title));
  for (const axis of options.log ?? []) {
    const button = element("button", { type: "button", "aria-pressed": log[axis] });
    const name = () => {
      button.textContent = `${axis}: ${log[axis] ? "log" : "linear"}`;
      button.setAttribute("aria-label", `${title}: ${axis} axis is ${log[axis] ? "logarithmic" : "linear"}, switch`);
      button.setAttribute("aria-pressed", log[axis]);
    };
    name();
    button.addEventListener("click", () => {
      log[axis] = !log[axis];
      name();
      draw();
    });
    caption.append(button);
  }
  const svg = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title });
  parent.append(element("figure", {}, caption, svg));

  function draw() {
    const all = series();
    const xs = all.flatMap((one) => one.points.map((point) => point[0]));
    const ys = all.flatMap((one) => [...one.points.map((point) => point[1]), ...(one.low ?? []), ...(one.high ?? [])]);
    const x = scale(options.xTicks && !log.x ? [...xs, ...options.xTicks.map((t) => t[0])] : xs, EDGE.left, WIDTH - EDGE.right, log.x);
    const y = scale(options.fromZero ? [...ys, 0] : ys, HEIGHT - EDGE.bottom, EDGE.top, log.y);
    const parts = [];
    const xTicks = options.xTicks ?? ticks(x.low, x.high, log.x).map((tick) => [tick, number(tick)]);
    let end = -Infinity;
    for (const [tick, text] of xTicks) {
      const at = x.place(tick);
      parts.push(element("line", { class: "grid", x1: at, x2: at, y1: EDGE.top, y2: HEIGHT - EDGE.bottom }));
      const half = 3.2 * text.length;
      if (at - half < end) continue;
      end = at + half + 4;
      parts.push(element("text", { x: at, y: HEIGHT - EDGE.bottom + 14, "text-anchor": "middle" }, text));
    }
    for (const tick of ticks(y.low, y.high, log.y)) {
      const at = y.place(tick);
      parts.push(element("line", { class: "grid", x1: EDGE.left, x2: WIDTH - EDGE.right, y1: at, y2: at }));
      parts.push(element("text", { x: EDGE.left - 5, y: at + 4, "text-anchor": "end" }, number(tick)));
    }
    parts.push(element("text", { x: (EDGE.left + WIDTH - EDGE.right) / 2, y: HEIGHT - 4, "text-anchor": "middle" }, options.x));
    const fits = (value) => !log.y || value > 0;
    for (const one of all) {
      const place = ([a, b]) => `${x.place(a).toFixed(1)},${y.place(b).toFixed(1)}`;
      if (one.low && !one.whiskers) {
        const floor = (value) => (fits(value) ? value : y.low);
        const up = one.points.map((point, i) => place([point[0], floor(one.high[i])]));
        const down = one.points.map((point, i) => place([point[0], floor(one.low[i])])).reverse();
        parts.push(element("path", { d: `M${[...up, ...down].join("L")}Z`, fill: one.color, opacity: 0.16 }));
      }
      if (one.whiskers) {
        one.points.forEach((point, i) => {
          const at = x.place(point[0]);
          const ends = [one.low[i], one.high[i]].map((value) => y.place(fits(value) ? value : y.low));
          parts.push(element("line", { x1: at, x2: at, y1: ends[0], y2: ends[1], stroke: one.color }));
        });
      }
      const points = one.points.filter((point) => fits(point[1]));
      if (one.kind === "line" && points.length) {
        const d = `M${points.map(place).join("L")}`;
        parts.push(element("path", { d, fill: "none", stroke: one.color, "stroke-width": 1.8, "stroke-dasharray": one.dash ?? "" }));
      }
      if (one.dots) {
        for (const [a, b] of points) {
          const ring = one.dots === "ring";
          const radius = one.radius ?? 3;
          parts.push(element("circle", {
            cx: x.place(a).toFixed(1), cy: y.place(b).toFixed(1), r: radius, fill: ring ? "none" : one.color,
            stroke: ring ? one.color : "none", opacity: one.opacity ?? 1,
          }));
        }
      }
      if (one.kind === "bars") {
        const wide = Math.max(1, (0.8 * (WIDTH - EDGE.left - EDGE.right)) / Math.max(one.points.length, 1));
        for (const [a, b] of points) {
          const [top, bottom] = [y.place(b), y.place(log.y ? y.low : 0)].sort((p, q) => p - q);
          parts.push(element("rect", { x: x.place(a) - wide / 2, y: top, width: wide, height: bottom - top, fill: one.color }));
        }
      }
    }
    const cursor = element("line", { class: "cursor", y1: EDGE.top, y2: HEIGHT - EDGE.bottom, visibility: "hidden" });
    svg.replaceChildren(...parts, cursor);
    svg.onmousemove = (event) => {
      const box = svg.getBoundingClientRect();
      const at = ((event.clientX - box.left) / box.width) * WIDTH;
      const near = options.tip ?? nearest;
      const found = near(all, at, ((event.clientY - box.top) / box.height) * HEIGHT, x, y);
      cursor.setAttribute("visibility", found && !options.tip ? "visible" : "hidden");
      if (found?.x !== undefined) {
        cursor.setAttribute("x1", x.place(found.x));
        cursor.setAttribute("x2", x.place(found.x));
      }
      tell(event, found?.text ?? "");
    };
    svg.onmouseleave = () => {
      tip.hidden = true;
      cursor.setAttribute("visibility", "hidden");
    };
  }
  charts.push(draw);
  draw();
}

/** The values of all lines at the x that is nearest to the pointer. */
function nearest(all, at, _, x) {
  const xs = all.flatMap((one) => one.points.map((point) => point[0]));
  if (!xs.length) return undefined;
  const best = xs.reduce((a, b) => (Math.abs(x.place(a) - at) <= Math.abs(x.place(b) - at) ? a : b));
  const lines = [];
  for (const one of all) {
    const i = one.points.findIndex((point) => point[0] === best);
    if (i < 0) continue;
    const band = one.low && one.high[i] !== one.low[i] ? ` (${number(one.low[i])} to ${number(one.high[i])})` : "";
    lines.push([one.points[i][1], `${one.label}: ${number(one.points[i][1])}${band}`]);
  }
  lines.sort((a, b) => b[0] - a[0]);
  return { x: best, text: [number(best), ...lines.map((line) => line[1])].join("\n") };
}

/** A section's room for charts, the section being shown. */
function room(id, inner = ".charts") {
  const section = document.getElementById(id);
  section.hidden = false;
  return section.querySelector(inner);
}

/** The table, sorted by a click on a heading. */
function table() {
  const heads = ["method", ...data.varied, ...data.columns.map((column) => column.title), "seeds"];
  const first = 1 + data.varied.length;
  const key = (group, column) => {
    if (column === 0) return group.method;
    if (column < first) return Number.isNaN(Number(group.values[column - 1])) ? group.values[column - 1] : Number(group.values[column - 1]);
    if (column < heads.length - 1) return group.figures[column - first]?.mean;
    return group.seeds;
  };
  const best = data.columns.map((column, i) => {
    const means = groups.map((group) => group.figures[i]?.mean).filter((mean) => mean !== undefined);
    return column.less === null || !means.length ? undefined : column.less ? Math.min(...means) : Math.max(...means);
  });
  let sorted = { column: -1, up: true };
  const body = element("tbody");
  const cells = heads.map((head, column) => {
    const cell = element("th", { scope: "col", tabindex: 0, "aria-sort": "none" }, head);
    const sort = () => {
      sorted = { column, up: sorted.column === column ? !sorted.up : true };
      cells.forEach((other, i) => other.setAttribute("aria-sort", i !== column ? "none" : sorted.up ? "ascending" : "descending"));
      fill();
    };
    cell.addEventListener("click", sort);
    cell.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        sort();
      }
    });
    return cell;
  });
  function fill() {
    const order = [...groups];
    if (sorted.column >= 0) {
      order.sort((a, b) => {
        const [x, y] = [key(a, sorted.column), key(b, sorted.column)];
        if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
        return (x < y ? -1 : x > y ? 1 : 0) * (sorted.up ? 1 : -1);
      });
    }
    body.replaceChildren(...order.map((group) => {
      const swatch = element("span", { class: "swatch", style: `background:${methodColor(group.method)}` });
      const row = element("tr", {}, element("td", {}, swatch, group.method));
      row.append(...group.values.map((value) => element("td", {}, value)));
      row.append(...group.figures.map((figure, i) => {
        const own = figure && figure.mean === best[i];
        return element("td", own ? { class: "best" } : {}, figure?.text ?? "–");
      }));
      row.append(element("td", {}, group.seeds));
      return row;
    }));
  }
  fill();
  document.getElementById("table").append(element("thead", {}, element("tr", {}, ...cells)), body);
}

/** Buttons that leave methods and values out of the charts. */
function toggles() {
  const nav = document.getElementById("groups");
  const button = (key, text, color) => {
    const made = element("button", { type: "button", "aria-pressed": "true" });
    if (color) made.append(element("span", { class: "swatch", style: `background:${color}` }));
    made.append(text);
    made.addEventListener("click", () => {
      const off = !hidden.delete(key);
      if (off) hidden.add(key);
      made.setAttribute("aria-pressed", String(!off));
      charts.forEach((draw) => draw());
    });
    nav.append(made);
  };
  for (const method of methods) button(`method ${method}`, method, methodColor(method));
  data.varied.forEach((name, i) => {
    for (const value of new Set(groups.map((group) => group.values[i]))) button(`${name} ${value}`, `${name} ${value}`);
  });
}

/** Metrics over the steps. */
function curves() {
  for (const metric of data.metrics) {
    const lines = () => metric.curves.filter((curve) => shown(groups[curve.group])).map((curve) => {
      const group = groups[curve.group];
      return {
        kind: "line", label: group.label, color: methodColor(group.method), dash: dash(group), low: curve.low, high: curve.high,
        points: curve.x.map((step, i) => [step, curve.mean[i]]),
      };
    });
    // An ELBO can be negative.
    const startLogY = metric.name === "rec_loss" && metric.curves.every((curve) => curve.low.every((value) => value > 0));
    chart(room("curves"), metric.title, { x: "step", log: ["x", "y"], startLogY }, lines);
  }
}

/** Figures against the varied options. */
function sweeps() {
  data.varied.forEach((name, at) => {
    const values = [...new Set(groups.map((group) => group.values[at]))];
    if (values.length < 2) return;
    const numbers = values.map(Number);
    const numeric = numbers.every(Number.isFinite);
    const places = values.map((_, i) => (numeric ? numbers[i] : i));
    const wide = numeric && Math.min(...numbers) > 0 && Math.max(...numbers) / Math.min(...numbers) >= 10;
    data.columns.forEach((column, i) => {
      if (column.less === null) return;
      const lines = () => methods.map((method) => {
        const points = [];
        values.forEach((value, v) => {
          const own = groups.filter((g) => g.method === method && g.values[at] === value && g.figures[i] && shown(g));
          if (!own.length) return;
          const mean = own.reduce((sum, group) => sum + group.figures[i].mean, 0) / own.length;
          const deviation = own.length === 1 ? own[0].figures[i].deviation ?? 0 : 0;
          points.push([places[v], mean, mean - deviation, mean + deviation]);
        });
        points.sort((a, b) => a[0] - b[0]);
        const [low, high] = [2, 3].map((end) => points.map((point) => point[end]));
        return { kind: "line", dots: "disc", whiskers: true, label: method, color: methodColor(method), points, low, high };
      }).filter((one) => one.points.length);
      const options = {
        x: name, log: numeric ? ["x", "y"] : ["y"], startLogX: wide, xTicks: places.map((place, v) => [place, values[v]]),
      };
      chart(room("sweeps"), column.title, options, lines);
    });
  });
}

/** Alpha by feature. */
function alphas() {
  for (const { group, seed, values } of data.alpha) {
    const own = groups[group];
    const bars = () => (shown(own) ? [{
      kind: "bars", label: own.label, color: methodColor(own.method), points: values.map((value, i) => [i, value]),
    }] : []);
    chart(room("alpha"), `${own.label}, seed ${seed}`, { x: "feature", fromZero: true, log: [] }, bars);
  }
}

/** Codes and vectors. */
function maps() {
  for (const { group, seed, vectors, codes } of data.maps) {
    const own = groups[group];
    const used = codes.filter((code) => code[1]).map((code) => code[0]);
    const unused = codes.filter((code) => !code[1]).map((code) => code[0]);
    const dots = () => (shown(own) ? [
      { kind: "dots", dots: "disc", radius: 1.8, opacity: 0.55, label: "vector", color: "rgb(140 150 162)", points: vectors },
      { kind: "dots", dots: "ring", radius: 3, label: "unused code", color: css(COLORS[1]), points: unused },
      { kind: "dots", dots: "disc", radius: 3, label: "used code", color: methodColor(own.method), points: used },
    ] : []);
    const near = (all, at, down, x, y) => {
      let best;
      for (const one of all) {
        for (const [a, b] of one.points) {
          const far = Math.hypot(x.place(a) - at, y.place(b) - down);
          if (far < 8 && (!best || far < best.far)) best = { far, text: `${one.label} (${number(a)}, ${number(b)})` };
        }
      }
      return best;
    };
    const title = `${own.label}, seed ${seed}: ${used.length} of ${codes.length} codes used`;
    chart(room("maps"), title, { x: "first component", log: [], tip: near }, dots);
  }
}

/** Rows of pictures: the upper half of the first, then the lower half of each. */
function pictures() {
  data.pictures.forEach(({ group, source }, i) => {
    const strip = (name, lower) => {
      const image = element("img", { src: source, alt: lower ? `Reconstructions, ${name}` : "Test images" });
      const frame = element("div", { class: "strip" }, image);
      const rows = room("pictures", ".rows");
      const figure = element("figure", {}, element("figcaption", {}, name), frame);
      rows.append(figure);
      image.addEventListener("load", () => {
        const zoom = Math.max(1, Math.min(3, Math.floor(72 / (image.naturalHeight / 2))));
        image.style.width = `${zoom * image.naturalWidth}px`;
        frame.style.height = `${(zoom * image.naturalHeight) / 2}px`;
        if (lower) image.style.marginTop = `${(-zoom * image.naturalHeight) / 2}px`;
      });
      if (lower) charts.push(() => { figure.hidden = !shown(groups[group]); });
    };
    if (i === 0) strip("test images", false);
    strip(groups[group].label, true);
  });
}

/** How much there is. */
const total = `${methods.length} method${methods.length === 1 ? "" : "s"}, ${groups.length} group${groups.length === 1 ? "" : "s"}`;
document.getElementById("about").textContent = `${total}; semivq ${data.version}. Buttons leave methods and values out of the charts.`;
toggles();
table();
sweeps();
curves();
alphas();
maps();
pictures();
if (data.experiment) {
  document.getElementById("repeat").hidden = false;
  document.getElementById("experiment").textContent = data.experiment;
}
