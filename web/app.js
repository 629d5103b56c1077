// The page asks the server's own API and shows what it says. Text of events and of answers is only ever shown as text.

const $ = (id) => document.getElementById(id);
const store = "freshet-token";
const pace = 5000; // ms between looks at what moves
let turn = 0; // of the view that is shown: what an earlier one still gets is not shown
let timer;

// el makes an element. Attributes are strings; children are elements or text.
function el(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) e.setAttribute(name, value);
  e.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined));
  return e;
}

class Refused extends Error {
  constructor(status, problem) {
    super([problem.title, problem.detail].filter(Boolean).join(": ") || `status ${status}`);
    this.status = status;
  }
}

// ask asks the API. A problem is thrown as it was said.
async function ask(path, body) {
  const headers = {};
  const token = sessionStorage.getItem(store);
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  const options = { headers, cache: "no-store", credentials: "same-origin", signal: AbortSignal.timeout(20000) };
  const answer = await fetch(path, body ? { ...options, method: "POST", body: JSON.stringify(body) } : options);
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, said);
  return said;
}

const path = (...parts) => parts.map(encodeURIComponent).join("/");
const link = (text, ...parts) => el("a", { href: `#/${path(...parts)}` }, text);
const stamp = (t) => (t ? t.replace("T", " ").replace(/Z$/, "") : "–");
const time = (t) => el("td", { class: "whole" }, stamp(t));
const or = (x) => (x === null || x === undefined || x === "" ? "–" : String(x));
const verdict = (v) => el("b", { class: v ?? "" }, v ?? "not final");
const place = (at) => (at ? `${at.topic}/${at.partition}/${at.offset}` : "–");
const version = (v) => (v ? `${v.version ?? ""} (${v.seq === null || v.seq === undefined ? "no seq" : `seq ${v.seq}`})`.trim() : "–");

function span(s) {
  if (s === null || s === undefined) return "–";
  if (s < 60) return `${Math.round(s * 1000) / 1000} s`;
  const units = [[86400, "d"], [3600, "h"], [60, "min"]];
  const [size, unit] = units.find(([n]) => s >= n);
  return `${Math.round((s / size) * 10) / 10} ${unit}`;
}

function table(head, rows, none) {
  if (rows.length === 0) return el("p", { class: "quiet" }, none);
  const cell = (c) => (c instanceof HTMLTableCellElement ? c : el("td", {}, c));
  return el("div", { class: "scroll" }, el("table", {},
    el("thead", {}, el("tr", {}, head.map((h) => el("th", { scope: "col" }, h)))),
    el("tbody", {}, rows.map((r) => el("tr", {}, r.map(cell))))));
}

const section = (title, ...content) => [el("h2", {}, title), ...content];
const raw = (title, x) => el("details", {}, el("summary", {}, title), el("pre", {}, JSON.stringify(x, null, 2)));

// part shows what may not be had, for its scope or for now, as what it is, and lets the rest of the view stand.
async function part(promise, show) {
  try {
    return show(await promise);
  } catch (e) {
    if (!(e instanceof Refused) || e.status === 401) throw e;
    return [el("p", { class: "quiet" }, e.message)];
  }
}

// clocks says how far an answer can be relied on.
function clocks(a) {
  return el("p", { class: "quiet" }, `applied through ${stamp(a.applied_through)}, complete through ${stamp(a.complete_through)}, engine lag ${span(a.engine_lag_s)}`);
}

// --- the views; each returns what is to be seen

async function status() {
  const s = await ask("/v1/status");
  const held = (p) => (p.held_by ? `${p.held_by}: ${p.held_why}` : "");
  const clock = (p) => (p.live === false || !p.applied_through ? el("span", { class: "unknown" }, "not live") : span(p.lag_s));
  showClock(s);
  return [
    el("h1", {}, `${s.instance}: `, s.ready ? el("span", { class: "fresh" }, "ready") : el("span", { class: "stale" }, `not ready: ${s.why}`)),
    el("p", { class: "quiet" }, `version ${or(s.version)}, contract ${or(s.contract)}, as of ${stamp(s.now)}`),
    section("Alerts", await part(ask("/v1/alerts?status=firing"), alerts)),
    section("Objectives", await part(ask("/v1/slos"), (a) => table(
      ["objective", "owner", "budget left", "coverage", "rules that hold"],
      a.slos.map((x) => [x.slo, x.owner, el("span", { class: x.budget_remaining_ratio < 0 ? "stale" : "" }, percent(x.budget_remaining_ratio)), percent(x.coverage_ratio),
        x.rules.filter((r) => r.holds).map((r) => `${r.severity} ${r.burn}× over ${r.long}`).join(", ")]), "The contract has none."))),
    section("Partitions", table(["group", "partition", "owner", "lag", "applied through", "complete through", "records behind", "held by"],
      s.partitions.map((p) => [p.group, String(p.partition), p.owner, clock(p), time(p.applied_through), time(p.complete_through), String(p.records_behind), held(p)]),
      "This instance has no partition.")),
    section("Sources, as this instance has read them", table(["partition", "lag", "applied through", "complete through"],
      s.sources.map((p) => [String(p.partition), clock(p), time(p.applied_through), time(p.complete_through)]), "None has been read.")),
  ];
}

// alerts shows those that fire. The watchdog always should.
function alerts(a) {
  const rows = a.alerts.filter((x) => x.name !== "Watchdog");
  return [
    rows.length < a.alerts.length ? null : el("p", { class: "unknown" }, "The watchdog does not fire: alerts are not evaluated, or you may not see it."),
    table(["since", "alert", "severity", "owner", "what"],
      rows.map((x) => [time(x.starts_at), [outside(x.name, x.runbook_url), " ", link("why", "why", x.name)], x.severity, or(x.owner), or(x.annotations?.summary)]), "Nothing fires."),
  ];
}

// outside is a link to another site, if it is one to the web.
const outside = (text, to) => (/^https?:/.test(to ?? "") ? el("a", { href: to, rel: "noreferrer" }, text) : text);
const percent = (r) => (r === null || r === undefined ? "–" : `${Math.round(r * 10000) / 100} %`);

async function why(name) {
  const a = await ask(`/v1/alerts/why?name=${encodeURIComponent(name)}`);
  return [
    el("h1", {}, `Why ${a.name} does or does not page`),
    table(["what", "severity", "status", "why", "rule", "who is told"],
      a.findings.map((f) => [or(f.what), f.severity, f.status, `${f.why}: ${f.detail}`, or(f.rule),
        f.owners.map((o) => el("p", {}, [o.owner, o.destination, o.target, o.why, o.told_at ? `at ${stamp(o.told_at)}` : ""].filter(Boolean).join(" ")))]), "It sees nothing."),
  ];
}

async function stale(type, cursor) {
  const page = await ask(`/v1/workflows?state=open&verdict=stale&limit=100&type=${encodeURIComponent(type ?? "")}&cursor=${encodeURIComponent(cursor ?? "")}`);
  const { answered, of } = page.partitions;
  return [
    el("h1", {}, `Open workflows ${type ? `of type ${type} ` : ""}that hold something stale`),
    answered.length < of ? el("p", { class: "unknown" }, `Only ${answered.length} of ${of} partitions have been looked at.`) : null,
    table(["workflow", "type", "reasons", "cause", "owner", "items", "last event"],
      page.workflows.map((w) => [link(w.workflow, "workflow", w.workflow), w.workflow_type ? link(w.workflow_type, "stale", w.workflow_type) : "–", w.reasons.join(", "), or(w.cause), or(w.owner), String(w.items), time(w.last_event_at)]),
      page.next ? "None on this page." : "None."),
    page.next ? el("p", {}, link("next page", "stale", type ?? "", page.next)) : null,
  ];
}

async function workflow(id) {
  const w = await ask(`/v1/workflows/${encodeURIComponent(id)}`);
  return [
    el("h1", {}, `${w.workflow} `, verdict(w.live.verdict)),
    el("p", {}, `${or(w.workflow_type)}, ${w.state}, ${w.events} events from ${stamp(w.first_event_at)} to ${stamp(w.last_event_at)}`),
    answer(w.live),
    w.left_out ? raw("Limits have left out a part", w.left_out) : null,
    section("Decisions", table(["at", "decision", "use", "class", "verdict", "revision"],
      w.decisions.map((d) => [time(d.used_at), link(d.decision_id, "decision", w.workflow, d.decision_id), d.use, or(d.class), verdict(d.verdict), String(d.revision)]),
      "None so far.")),
    section("Timeline", await part(ask(`/v1/workflows/${encodeURIComponent(id)}/timeline?limit=200`), (page) => timeline(id, page))),
  ];
}

function timeline(id, page) {
  const rows = (p) => p.events.map(happened);
  const shown = table(happenedHead, rows(page), "No event.");
  const { gone, left_out: left } = page.completeness;
  const said = [gone ? `${gone} are gone by retention` : "", left ? `${left} are left out by limits` : ""].filter(Boolean).join(", ");
  const more = el("button", {}, "more");
  let next = page.next;
  more.onclick = async () => {
    try {
      const p = await ask(`/v1/workflows/${encodeURIComponent(id)}/timeline?limit=200&cursor=${encodeURIComponent(next)}`);
      shown.querySelector("tbody").append(...table(happenedHead, rows(p), "").querySelectorAll("tbody tr"));
      next = p.next;
      more.hidden = !next;
    } catch (e) {
      trouble(e);
    }
  };
  return [said ? el("p", { class: "unknown" }, `${said}.`) : null, shown, next ? more : null];
}

const happenedHead = ["time", "event", "record", "data"];
const happened = (e) => [time(e.time), el("td", { class: "whole" }, e.type.split(".").slice(-2).join(".")), el("td", { class: "whole" }, place(e.at) + (e.gone ? " (gone)" : "")),
  el("td", { class: "data" }, e.data && Object.keys(e.data).length ? JSON.stringify(e.data) : "")];

async function decision(id, decided) {
  const d = await ask(`/v1/decisions/${path(id, decided)}`);
  const seen = new Set();
  const all = [...d.evidence, ...d.approvals, ...d.tools, ...(d.override ? [d.override] : [])].filter((e) => !seen.has(place(e.at)) && seen.add(place(e.at)));
  all.sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
  const { records, revisions } = d.completeness;
  const lacks = [records.gone.length ? `${records.gone.length} cited records are gone by retention` : "", records.left ? `${records.left} more are cited than are read back` : "",
    revisions.whole ? "" : "the verdicts topic was not searched to its end"].filter(Boolean);
  return [
    el("h1", {}, link(d.workflow, "workflow", d.workflow), ` ${d.decision_id}`),
    lacks.length ? el("p", { class: "unknown" }, `Not whole: ${lacks.join("; ")}.`) : null,
    d.uses.map((u) => [
      el("h2", {}, verdict(u.verdict.verdict), ` ${u.verdict.use} at ${stamp(u.verdict.used_at)} (${u.final ? `revision ${u.verdict.revision}` : "provisional"})`),
      answer(u.verdict),
      u.verdict.check ? el("p", {}, `It had asked, and was told ${u.verdict.check.verdict}${u.verdict.check.superseded_since ? "; superseded between asking and acting" : ""}.`) : null,
      u.now.verdict ? el("p", { class: "quiet" }, `Now it would be ${u.now.verdict}${u.now.reasons.length ? ` (${u.now.reasons.join(", ")})` : ""}.`) : null,
    ]),
    section("What happened", table(happenedHead, all.map(happened), "No record can be read.")),
    section("What was said", table(["judged at", "use", "revision", "verdict"],
      d.revisions.map((r) => [time(r.judged_at), r.use, String(r.revision), verdict(r.verdict)]), "Nothing so far.")),
    raw("All of it, as JSON", d),
  ];
}

// answer shows what a check or a verdict says, with the causes of what is stale as a bar.
function answer(a) {
  const causes = [...new Set(a.items.flatMap((i) => (i.causes ?? []).map((c) => c.cause)))];
  const colour = (c) => `c${causes.indexOf(c) % 5}`;
  const bar = (i) => {
    const total = (i.causes ?? []).reduce((sum, c) => sum + c.seconds, 0);
    if (!total) return null;
    const parts = i.causes.map((c) => {
      const s = el("span", { class: colour(c.cause), title: `${c.cause} ${span(c.seconds)}` });
      s.style.flexGrow = c.seconds;
      return s;
    });
    return [el("div", { class: "bar" }, parts),
      i.causes.map((c) => el("p", { class: "quiet" }, el("span", { class: `key ${colour(c.cause)}` }), `${c.cause} ${span(c.seconds)}, ${or(c.owner)}`))];
  };
  return el("div", {},
    el("p", {}, [a.action ? `action ${a.action}` : "", a.reasons.length ? `because of ${a.reasons.join(", ")}` : "", a.cause ? `cause ${a.cause}, owner ${or(a.owner)}` : ""].filter(Boolean).join(" · ")),
    a.engine_lag_s === undefined ? null : clocks(a),
    a.valid_until ? el("p", {}, `Fresh until ${stamp(a.valid_until)} (${span(a.valid_for_s)}) if nothing changes.`) : null,
    table(["item", "verdict", "used", "in force", "superseded at", "staleness", "age", "behind", "causes"],
      a.items.map((i) => [`${i.kind}/${i.key}`, [verdict(i.verdict), i.reasons.length ? ` ${i.reasons.join(", ")}` : ""], version(i.used), version(i.current), time(i.superseded_at),
        span(i.staleness_s), span(i.age_s), or(i.versions_behind), el("td", {}, bar(i))]), "No item was judged."));
}

async function check(given) {
  const form = el("form", {},
    el("label", {}, "Workflow", el("input", { name: "workflow", required: "", value: given ?? "", autocomplete: "off" })),
    el("label", {}, "Class of the decision, if its bounds are to hold", el("input", { name: "class", autocomplete: "off" })),
    el("label", {}, "Items to judge instead of what was loaded, as JSON", el("textarea", { name: "items", rows: "2", placeholder: '[{"kind":"policy","key":"refund","seq":17}]' })),
    el("label", {}, "Instant, if not now", el("input", { name: "at", placeholder: "2026-01-03T12:05:01Z", autocomplete: "off" })),
    el("button", {}, "Check"));
  const said = el("div", { role: "status" });
  form.onsubmit = async (event) => {
    event.preventDefault();
    const f = new FormData(form);
    const body = { workflow: f.get("workflow") };
    try {
      for (const name of ["class", "at"]) if (f.get(name)) body[name] = f.get(name);
      if (f.get("items").trim()) body.items = JSON.parse(f.get("items"));
      const a = await ask("/v1/check", body);
      said.replaceChildren(el("h1", {}, verdict(a.verdict), ` ${a.workflow} at ${stamp(a.at)}`), answer(a), raw("The answer, as JSON", a));
    } catch (e) {
      said.replaceChildren();
      trouble(e);
    }
  };
  return [el("h1", {}, "Does the context of a workflow still hold?"), form, said];
}

// --- around them

const views = { status, why, stale, workflow, decision, check };
const moving = ["status", "stale"]; // are looked at again and again

function trouble(e) {
  const p = $("trouble");
  p.hidden = !e;
  if (!e) return;
  if (e.status === 401) {
    $("token").hidden = false;
    $("token").elements.token.focus();
  }
  p.textContent = e instanceof Refused || e instanceof SyntaxError ? e.message : `The server does not answer (${e.message}). What is shown is old.`;
  $("main").classList.toggle("old", !(e instanceof Refused || e instanceof SyntaxError));
}

// show shows what the address says.
async function show(again) {
  clearTimeout(timer);
  timer = undefined;
  const mine = ++turn;
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/").map((p) => { try { return decodeURIComponent(p); } catch { return p; } });
  const view = Object.hasOwn(views, name) ? name : "status";
  for (const a of document.querySelectorAll("nav a")) a.setAttribute("aria-current", a.hash === `#/${view}` ? "page" : "false");
  $("forget").hidden = !sessionStorage.getItem(store);
  if (!again) $("main").replaceChildren(el("p", { class: "quiet" }, "…"));
  try {
    const content = await views[view](...rest);
    if (mine !== turn) return;
    $("main").replaceChildren(...content.flat(Infinity).filter((c) => c !== null));
    $("main").classList.remove("old");
    $("token").hidden = true;
    trouble(null);
  } catch (e) {
    if (mine !== turn) return;
    if (!again || e instanceof Refused) $("main").replaceChildren();
    trouble(e);
  }
  if (moving.includes(view)) timer = setTimeout(() => document.hidden || show(true), pace);
}

// showClock says in the head of every view how far the engine is behind.
function showClock(s) {
  const lags = [...s.partitions, ...s.sources].map((p) => p.lag_s);
  const known = lags.length > 0 && !lags.includes(null);
  $("clock").textContent = `${s.now.slice(11, 19)} UTC · ${known ? `at most ${span(Math.max(...lags))} behind` : "a clock is not live"}`;
  $("clock").classList.toggle("unknown", !known);
}

// look keeps the clock of the head going. What is wrong with it the views say.
async function look() {
  if (document.hidden || !$("token").hidden) return;
  try {
    showClock(await ask("/v1/status"));
  } catch {
    $("clock").textContent = "the clocks are not known";
  }
}

$("token").onsubmit = (event) => {
  event.preventDefault();
  const token = event.target.elements.token.value.trim();
  if (!/^[\x21-\x7e]+$/.test(token)) return trouble(new SyntaxError("A token has no blanks, and no letters beside those of ASCII."));
  sessionStorage.setItem(store, token);
  event.target.reset();
  show();
};
$("forget").onclick = () => {
  sessionStorage.removeItem(store);
  show();
};
$("find").onsubmit = (event) => {
  event.preventDefault();
  const ids = event.target.elements.id.value.trim().split(/\s+/);
  if (ids[0]) location.hash = ids.length > 1 ? `#/${path("decision", ids[0], ids[1])}` : `#/${path("workflow", ids[0])}`;
};
window.addEventListener("hashchange", () => show());
document.addEventListener("visibilitychange", () => document.hidden || (look(), timer && show(true)));
setInterval(look, pace);
look();
show();
