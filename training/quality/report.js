"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const DIMENSIONS = ["tables", "months", "authorities", "regions"];
  const TITLES = ["数据表", "月份", "机关", "区划"];
  const AFTER = [2, 0, 1, 2]; // what to show once a table, month, authority, region is chosen
  const PER_PAGE = 20, PER_PRINT = 60;
  const OFFSET = DIMENSIONS.length;
  const COUNTS = data.counts;
  const chosen = [null, null, null, null];
  const view = { group: 2, sort: "risk", down: true, page: 0, search: "", perPage: PER_PAGE };

  // ---- numbers: a rate never looks better than it is ----
  const share = (part, whole) => (whole ? part / whole : null);
  const percent = (rate, round) => (rate === null ? "—" : (round(rate) / 100).toFixed(2) + " %");
  const atLeast = (rate) => percent(rate, (r) => Math.floor(r * 1e4 + 1e-6));
  const atMost = (rate) => percent(rate, (r) => Math.ceil(r * 1e4 - 1e-6));
  const count = (n) => n.toLocaleString("en-US");

  const none = () => Object.fromEntries(COUNTS.map((name) => [name, 0]));
  function add(sum, cell) {
    for (let i = 0; i < COUNTS.length; i++) sum[COUNTS[i]] += cell[OFFSET + i];
  }
  function finish(sum) {
    const reported = sum.accepted + sum.rejected;
    return Object.assign(sum, {
      reported,
      outstanding: sum.rejected - sum.corrected - sum.duplicates,
      compliance_rate: share(sum.accepted, reported),
      compliance_after_correction: share(sum.accepted, reported - sum.corrected),
      late_rate: share(sum.late, sum.timed),
      timely_rate: share(sum.timed - sum.late, sum.timed),
      duplicate_rate: share(sum.duplicates, reported),
      completeness: share(sum.filled, sum.fields),
      risk: wilsonLow(sum.rejected, reported),
    });
  }
  function wilsonLow(part, n) {
    if (!n) return 0;
    const p = part / n, z = 1.959964;
    return (p + z * z / (2 * n) - z * Math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n);
  }
  const fits = (row, except) => chosen.every((want, d) => want === null || d === except || row[d] === want);
  function grouped(dimension, except) {
    const sums = new Map();
    for (const cell of data.cells) {
      if (!fits(cell, except)) continue;
      const key = cell[dimension];
      if (!sums.has(key)) sums.set(key, none());
      add(sums.get(key), cell);
    }
    sums.forEach(finish);
    return sums;
  }
  function total() {
    const sum = none();
    for (const cell of data.cells) if (fits(cell)) add(sum, cell);
    return finish(sum);
  }

  // ---- elements; text is always set as text ----
  function element(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
    }
    made.append(...children);
    return made;
  }
  function shape(name, attributes, words) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (words !== undefined) made.textContent = words;
    return made;
  }
  const tip = byId("tip");
  function explain(target, words) {
    target.addEventListener("pointermove", (event) => {
      tip.textContent = words;
      tip.hidden = false;
      const right = event.clientX + 14 + tip.offsetWidth > window.innerWidth;
      tip.style.left = (right ? event.clientX - tip.offsetWidth - 10 : event.clientX + 14) + "px";
      tip.style.top = Math.min(event.clientY + 14, window.innerHeight - tip.offsetHeight - 6) + "px";
    });
    target.addEventListener("pointerleave", () => { tip.hidden = true; });
  }

  // ---- charts ----
  const MOST_MONTHS = 60;
  const number = (month) => Number(month.slice(0, 4)) * 12 + Number(month.slice(5)) - 1;
  const STEPS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25];
  function scale(rates, line) {
    const lowest = Math.min(...rates, line === null ? 1 : line);
    const step = STEPS.find((s) => (1 - lowest) / s <= 4.5) || 0.25;
    const low = Math.max(0, Math.floor((lowest - step * 0.2) / step + 1e-9) * step);
    const ticks = [];
    for (let i = 0; low + i * step <= 1 + 1e-9; i++) ticks.push(low + i * step);
    return { low, ticks, digits: step < 0.001 ? 2 : step < 0.01 ? 1 : 0 };
  }
  function canvas(figure, height, words) {
    const width = Math.max(260, figure.clientWidth);
    const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": words });
    figure.replaceChildren(svg);
    return { svg, width };
  }
  function empty(figure) {
    figure.replaceChildren(element("p", { class: "empty" }, figure.dataset.empty));
  }
  function rateChart(figure, options) {
    // one place per calendar month, so that a month without data is a gap and not a slope
    const byNumber = new Map([...options.sums].map(([m, sum]) => [number(data.months[m]), { m, sum, rate: sum[options.rate] }])
      .filter(([month, point]) => !Number.isNaN(month) && point.rate !== null)); // a month may be unknown
    if (!byNumber.size) return empty(figure);
    const last = Math.max(...byNumber.keys()), first = Math.max(Math.min(...byNumber.keys()), last - MOST_MONTHS + 1);
    const months = Array.from({ length: last - first + 1 }, (_, i) => byNumber.get(first + i) || null);
    const points = months.map((point, i) => ({ ...point, i })).filter((point) => point.sum);
    const volumes = options.volume ? 64 : 0, top = 22, plot = options.volume ? 190 : 150;
    const height = top + plot + (volumes ? volumes + 14 : 0) + 26;
    const { svg, width } = canvas(figure, height, options.words);
    const left = 54, right = 16, span = (width - left - right) / months.length;
    const { low, ticks, digits } = scale(points.map((point) => point.rate), options.line);
    const x = (i) => left + span * (i + 0.5);
    const y = (rate) => top + plot * (1 - (rate - low) / (1 - low || 1));
    for (const tick of ticks) {
      svg.append(shape("line", { class: "axis", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }));
      svg.append(shape("text", { x: left - 8, y: y(tick) + 4, "text-anchor": "end" }, (tick * 100).toFixed(digits) + "%"));
    }
    if (volumes) {
      const base = top + plot + 14 + volumes, most = Math.max(...points.map((point) => point.sum.reported));
      const wide = Math.min(38, span * 0.62);
      points.forEach(({ i, sum }) => {
        const all = Math.max(1, volumes * sum.reported / most), bad = sum.rejected && Math.max(1.5, volumes * sum.rejected / most);
        svg.append(shape("rect", { class: "volume", x: x(i) - wide / 2, width: wide, y: base - all, height: all }));
        if (bad) svg.append(shape("rect", { class: "refused", x: x(i) - wide / 2, width: wide, y: base - bad, height: bad }));
      });
      svg.append(shape("line", { class: "axis", x1: left, x2: width - right, y1: base, y2: base }));
      svg.append(shape("text", { x: left - 8, y: base - volumes + 10, "text-anchor": "end" }, short(most)));
    }
    svg.append(shape("path", { class: "rate", d: points.map(({ i, rate }) => `${months[i - 1] ? "L" : "M"}${x(i)} ${y(rate)}`).join("") }));
    if (options.line !== null) {
      const at = y(options.line);
      svg.append(shape("line", { class: "target-line", x1: left, x2: width - right, y1: at, y2: at }));
      const above = at > top + 18;
      svg.append(shape("text", { class: "target-words", x: width - right, y: above ? at - 6 : at + 16, "text-anchor": "end" }, `${data.line} 目标线`));
    }
    const every = Math.ceil(54 / span);
    const lowest = points.reduce((a, b) => (b.rate < a.rate ? b : a));
    months.forEach((_, i) => {
      if ((months.length - 1 - i) % every) return;
      svg.append(shape("text", { x: x(i), y: height - 8, "text-anchor": "middle" }, named(first + i)));
    });
    for (const { i, m, sum, rate } of points) {
      const below = options.line !== null && rate < options.line;
      svg.append(shape("circle", { class: below ? "dot short" : "dot", cx: x(i), cy: y(rate), r: months.length > 40 ? 2.5 : 4 }));
      if (i === lowest.i && options.line !== null) {
        const under = y(rate) + 20 < top + plot;
        svg.append(shape("text", { class: "value", x: x(i), y: y(rate) + (under ? 19 : -10), "text-anchor": "middle" }, atLeast(rate)));
      }
      const hit = shape("rect", { class: chosen[1] === m ? "hit chosen" : "hit", x: left + span * i, width: span, y: top, height: height - top - 26, "data-month": data.months[m] });
      hit.addEventListener("click", () => choose(1, chosen[1] === m ? null : m));
      explain(hit, options.tip(data.months[m], sum));
      svg.append(hit);
    }
  }
  const named = (month) => `${Math.floor(month / 12)}-${String(month % 12 + 1).padStart(2, "0")}`;
  const short = (n) => (n >= 1e8 ? (n / 1e8).toFixed(1) + " 亿" : n >= 1e4 ? (n / 1e4).toFixed(1) + " 万" : count(n));
  function delayChart(figure) {
    const rows = data.buckets.map(() => 0);
    for (const row of data.delays) if (fits(row)) rows.forEach((_, b) => { rows[b] += row[OFFSET + b]; });
    const all = rows.reduce((a, b) => a + b, 0);
    if (!all) return empty(figure);
    const height = 198, top = 22;
    const { svg, width } = canvas(figure, height, "报送用时分布");
    const left = 10, span = (width - 2 * left) / rows.length, slanted = span < 38;
    const plot = height - top - (slanted ? 40 : 26), most = Math.max(...rows);
    rows.forEach((n, i) => {
      const tall = plot * n / most;
      const bar = shape("rect", { class: i >= data.lateFrom ? "late" : "volume", x: left + span * i + span * 0.12, width: span * 0.76, y: top + plot - tall, height: Math.max(n ? 1 : 0, tall) });
      svg.append(bar);
      const middle = left + span * (i + 0.5), base = top + plot;
      svg.append(shape("text", slanted
        ? { "text-anchor": "end", transform: `translate(${middle + 4} ${base + 14}) rotate(-45)` }
        : { x: middle, y: base + 18, "text-anchor": "middle" }, data.buckets[i]));
      const hit = shape("rect", { class: "hit", x: left + span * i, width: span, y: top, height: plot });
      explain(hit, `${data.buckets[i]} 个工作日\n${count(n)} 件，占 ${(100 * n / all).toFixed(2)} %`);
      svg.append(hit);
    });
    const at = left + span * data.lateFrom;
    svg.append(shape("line", { class: "target-line", x1: at, x2: at, y1: top - 8, y2: top + plot }));
    svg.append(shape("text", { class: "target-words", x: at + 6, y: top + 2 }, "迟报 →"));
    svg.append(shape("line", { class: "axis", x1: left, x2: width - left, y1: top + plot, y2: top + plot }));
  }

  // ---- the drill table ----
  const COLUMNS = [
    ["报送", "reported", count], ["入库", "accepted", count], ["隔离", "rejected", count], ["已更正", "corrected", count],
    ["合规率", "compliance_rate", null], ["及时率", "timely_rate", atLeast], ["迟报率", "late_rate", atMost],
    ["重复率", "duplicate_rate", atMost], ["填充率", "completeness", atLeast],
  ];
  function rateCell(rate) {
    if (rate === null) return element("td", { class: "n" }, "—");
    const below = rate < data.target;
    // the meter shows 90 to 100 %, where authorities differ; the text says the rest
    const place = (r) => Math.max(0, (r - 0.9) / 0.1) * 100 + "%";
    const fill = element("i"), mark = element("b");
    fill.style.width = place(rate);
    mark.style.left = place(data.target);
    return element("td", { class: "n" },
      element("span", { class: below ? "meter short" : "meter", "aria-hidden": "true" }, fill, mark),
      element("span", { class: below ? "rate-words short-words" : "rate-words" }, (below ? "✗ " : "") + atLeast(rate)));
  }
  const isOthers = (row) => view.group === 2 && row.key === data.others;
  function drillRows() {
    const names = data[DIMENSIONS[view.group]];
    const wanted = view.search.trim().toLowerCase();
    const rows = [...grouped(view.group)].map(([key, sum]) => ({ key, name: names[key], sum }))
      .filter((row) => !wanted || row.name.toLowerCase().includes(wanted));
    const value = (row) => (view.sort === "name" ? row.key : row.sum[view.sort]);
    return rows.sort((a, b) => {
      if (isOthers(a) !== isOthers(b)) return isOthers(a) - isOthers(b); // a sum is no rival: last
      const [p, q] = [value(a), value(b)];
      if (p === null || q === null) return (p === null) - (q === null) || a.key - b.key;
      return (view.down ? q - p : p - q) || b.sum.reported - a.sum.reported || a.key - b.key;
    });
  }
  function drawDrill() {
    const heading = (words, key) => element("th", { class: key === "name" ? null : "n", "aria-sort": view.sort === key ? (view.down ? "descending" : "ascending") : "none" },
      element("button", { type: "button", onclick: () => sortBy(key) }, words + (view.sort === key ? (view.down ? " ↓" : " ↑") : "")));
    const table = byId("drill-table");
    table.tHead.replaceChildren(element("tr", {}, element("th", { class: "n" }, "#"), heading(TITLES[view.group], "name"),
      ...COLUMNS.map(([words, key]) => heading(words, key))));
    const rows = drillRows();
    const pages = Math.max(1, Math.ceil(rows.length / view.perPage));
    view.page = Math.min(view.page, pages - 1);
    const first = view.page * view.perPage;
    table.tBodies[0].replaceChildren(...rows.slice(first, first + view.perPage).map((row, i) => element("tr",
      { onclick: () => drillInto(row.key) },
      element("td", { class: "n" }, isOthers(row) ? "" : String(first + i + 1)),
      element("td", { class: "name" }, element("button", { type: "button" }, row.name),
        ...(row.sum.late_rate > data.namedAbove && view.group === 2 && !isOthers(row) ? [element("span", { class: "flag", title: "迟报率超过 50%" }, "通报")] : [])),
      ...COLUMNS.map(([, key, words]) => (words ? element("td", { class: "n" }, words(row.sum[key])) : rateCell(row.sum[key]))))));
    if (!rows.length) table.tBodies[0].append(element("tr", {}, element("td", { colspan: COLUMNS.length + 2, class: "empty" }, "没有数据")));
    byId("page").textContent = `共 ${count(rows.length)} 行，第 ${view.page + 1} / ${pages} 页`;
    byId("previous").disabled = view.page === 0;
    byId("next").disabled = view.page === pages - 1;
    for (const tab of document.querySelectorAll("[data-group]")) tab.setAttribute("aria-selected", String(Number(tab.dataset.group) === view.group));
  }
  function sortBy(key) {
    const again = view.sort === key;
    view.down = again ? !view.down : key !== "name";
    view.sort = key;
    view.page = 0;
    drawDrill();
  }
  function groupBy(dimension) {
    Object.assign(view, { group: dimension, page: 0, search: "" }, dimension === 1 ? { sort: "name", down: false } : { sort: "risk", down: true });
    byId("drill-search").value = "";
  }
  function drillInto(key) {
    const from = view.group;
    let next = AFTER[from];
    for (let i = 0; i < DIMENSIONS.length && (next === from || chosen[next] !== null); i++) next = (next + 1) % DIMENSIONS.length;
    if (chosen[next] === null && next !== from) groupBy(next);
    choose(from, key);
  }

  // ---- the rest that follows the filters ----
  function drawTiles(sum) {
    const lateTiles = ["late_rate", "duplicate_rate"], counts = ["reported", "accepted", "outstanding"];
    for (const tile of document.querySelectorAll("[data-tile]")) {
      const name = tile.dataset.tile;
      tile.textContent = (counts.includes(name) ? count : lateTiles.includes(name) ? atMost : atLeast)(sum[name]);
    }
    const left = [["来源未给报送时间", sum.assumed], ["年份没有工作日历", sum.uncalendared], ["简易程序", sum.exempt]].filter(([, n]) => n);
    byId("not-judged").textContent = `可判定 ${count(sum.timed)} 件` + (left.length ? "；未判定：" + left.map(([words, n]) => `${words} ${count(n)} 件`).join("，") : "");
  }
  function drawRules() {
    const rejected = data.rules.map(() => 0), noted = data.rules.map(() => 0);
    for (const hit of data.hits) {
      if (!fits(hit)) continue;
      rejected[hit[OFFSET]] += hit[OFFSET + 1];
      noted[hit[OFFSET]] += hit[OFFSET + 2];
    }
    const rows = rejected.map((n, i) => n + noted[i]);
    const most = Math.max(1, ...rows);
    for (const rule of document.querySelectorAll("[data-rule]")) {
      const index = Number(rule.dataset.rule), n = rows[index];
      rule.querySelector("[data-rows]").textContent = count(n);
      for (const [name, words, found] of [["rejected", "隔离", rejected[index]], ["noted", "提示", noted[index]]]) {
        const badge = rule.querySelector(`[data-${name}]`);
        badge.textContent = `${words} ${count(found)}`;
        badge.hidden = !found;
      }
      rule.querySelector(".rule-bar").classList.toggle("warn", !rejected[index]);
      rule.querySelector(".rule-bar i").style.width = n ? Math.max(1, 100 * n / most) + "%" : "0";
      rule.classList.toggle("quiet", !n);
    }
  }
  function drawWords(sum) {
    const words = byId("filter-words");
    const parts = chosen.map((key, d) => (key === null ? null : `${TITLES[d]} ${data[DIMENSIONS[d]][key]}`)).filter(Boolean);
    words.replaceChildren();
    if (!parts.length) return;
    words.append("筛选：", element("b", {}, parts.join(" · ")), `　合规率 `, element("b", { id: "filter-rate" }, atLeast(sum.compliance_rate)),
      sum.compliance_rate === null ? "" : sum.compliance_rate < data.target ? `，未达到 ${data.line}` : `，达到 ${data.line}`);
  }
  function drawCharts() {
    rateChart(byId("chart-months"), { sums: grouped(1, 1), rate: "compliance_rate", line: data.target, volume: true, words: `每月合规率与 ${data.line} 目标线`,
      tip: (month, s) => `${month}\n合规率 ${atLeast(s.compliance_rate)}\n报送 ${count(s.reported)}，隔离 ${count(s.rejected)}` });
    rateChart(byId("chart-timely"), { sums: grouped(1, 1), rate: "timely_rate", line: null, volume: false, words: "每月及时率",
      tip: (month, s) => `${month}\n及时率 ${atLeast(s.timely_rate)}\n可判定 ${count(s.timed)}，迟报 ${count(s.late)}` });
    delayChart(byId("chart-delays"));
  }
  function draw() {
    const sum = total();
    drawTiles(sum);
    drawRules();
    drawWords(sum);
    drawCharts();
    drawDrill();
  }
  function choose(dimension, key) {
    chosen[dimension] = key;
    view.page = 0;
    controls[dimension].value = key === null ? "" : dimension === 2 ? data.authorities[key] : String(key);
    draw();
  }

  // ---- controls ----
  const controls = [byId("filter-table"), byId("filter-month"), byId("filter-authority"), byId("filter-region")];
  [0, 1, 3].forEach((d) => {
    controls[d].append(element("option", { value: "" }, "全部"), ...data[DIMENSIONS[d]].map((name, i) => element("option", { value: i }, name)));
    controls[d].addEventListener("change", () => choose(d, controls[d].value === "" ? null : Number(controls[d].value)));
  });
  byId("authority-names").append(...data.authorities.map((name) => element("option", { value: name })));
  controls[2].addEventListener("change", () => {
    const name = controls[2].value.trim();
    const exact = data.authorities.indexOf(name);
    const near = exact >= 0 ? exact : data.authorities.findIndex((a) => name && a.includes(name));
    choose(2, near < 0 ? null : near);
  });
  byId("reset").addEventListener("click", () => {
    chosen.fill(null);
    controls.forEach((control) => { control.value = ""; });
    groupBy(2);
    draw();
  });
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  for (const tab of document.querySelectorAll("[data-group]")) tab.addEventListener("click", () => { groupBy(Number(tab.dataset.group)); drawDrill(); });
  byId("drill-search").addEventListener("input", (event) => { view.search = event.target.value; view.page = 0; drawDrill(); });
  byId("previous").addEventListener("click", () => { view.page--; drawDrill(); });
  byId("next").addEventListener("click", () => { view.page++; drawDrill(); });
  let width = window.innerWidth;
  window.addEventListener("resize", () => { if (window.innerWidth !== width) { width = window.innerWidth; drawCharts(); } });
  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("main details:not([open])")].filter((d) => !d.closest(".sample"));
    opened.forEach((d) => { d.open = true; });
    view.perPage = PER_PRINT;
    drawDrill();
  });
  window.addEventListener("afterprint", () => {
    opened.forEach((d) => { d.open = false; });
    view.perPage = PER_PAGE;
    drawDrill();
  });
  draw();
})();
