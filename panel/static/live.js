// Refreshes the open tab: asks for the list now and then, swaps rows that changed, and waits while a person is busy.
(() => {
  "use strict";
  const FIRST_PAUSE_MS = 5000;
  const LONGEST_PAUSE_MS = 60000;
  const byId = (id) => document.getElementById(id);
  const texts = document.querySelector(".lp-page").dataset;
  const every = Number(texts.every) * 1000;
  let known = { body: null, tag: "" };
  let waiting = null;
  let asking = false;
  let failures = 0;
  let nextAt = 0;

  // --- when --------------------------------------------------------------------------------------------------------

  const pause = () => Math.min(FIRST_PAUSE_MS * 2 ** failures, LONGEST_PAUSE_MS);

  // A notice says when the upstream is called again. After each further failure the next try is later.
  function plan() {
    const notice = document.querySelector("#lp-body > .lp-notice[data-next-try]");
    const degraded = byId("lp-body").hasAttribute("data-degraded");
    const told = notice ? Number(notice.dataset.nextTry) * 1000 : 0;
    // Tabs that were opened together do not ask together.
    nextAt = Date.now() + (degraded ? Math.max(told, pause()) : every * (1 + Math.random() / 10));
  }

  function tick() {
    const body = byId("lp-body");
    if (document.hidden || !body || !body.dataset.poll) return;
    if (body !== known.body || body.dataset.tag !== known.tag) {
      known = { body, tag: body.dataset.tag };
      waiting = null;
      plan();
    }
    document.querySelectorAll(".lp-every[hidden]").forEach((one) => { one.hidden = false; });
    if (waiting && !isBusy()) show(waiting);
    if (Date.now() >= nextAt && !asking) ask(body);
    countDown();
  }

  // --- the sentence "Next try in … s." -------------------------------------------------------------------------------

  function countDown() {
    const notice = document.querySelector("#lp-body > .lp-notice[data-next-try]");
    if (!notice) return;
    const seconds = Math.max(0, Math.ceil((nextAt - Date.now()) / 1000));
    const words = texts.textNextTry.replace("{n}", seconds);
    // It was announced when it came; the seconds are not.
    notice.removeAttribute("role");
    const place = notice.querySelector(".lp-countdown") || countdownIn(notice.querySelector("p"));
    if (place.textContent !== words) place.textContent = words;
  }

  function countdownIn(paragraph) {
    const place = document.createElement("span");
    place.className = "lp-countdown";
    const [before, after] = texts.textNextTry.split("{n}");
    const text = paragraph.textContent;
    const start = text.search(new RegExp(`${escaped(before)}\\d+${escaped(after)}`));
    const end = start < 0 ? text.length : text.indexOf(after, start + before.length) + after.length;
    paragraph.replaceChildren(start < 0 ? `${text} ` : text.slice(0, start), place, text.slice(end));
    return place;
  }

  const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

  // --- asking --------------------------------------------------------------------------------------------------------

  async function ask(body) {
    const { poll, tag } = body.dataset;
    const headers = { ...JSON.parse(document.body.getAttribute("hx-headers:inherited") || "{}"), "HX-Request": "true", "X-Leafpanel-Poll": "1" };
    if (tag) headers["If-None-Match"] = `"${tag}"`;
    // In a frame the request waits for a new token when the present one expires.
    const detail = { headers, fetch: (url, request) => window.fetch(url, request) };
    document.dispatchEvent(new CustomEvent("leafpanel:poll", { detail }));
    asking = true;
    try {
      receive(body, tag, await answerTo(await detail.fetch(poll, { headers, cache: "no-store" })));
    } catch {
      receive(body, tag, null);
    } finally {
      asking = false;
    }
  }

  // The tab that was sent, "same", or null for an answer that says nothing about the list.
  async function answerTo(response) {
    if (response.status === 304) return "same";
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    return page.querySelector(".lp-page") || !page.getElementById("lp-body") ? null : page;
  }

  function receive(body, tag, answer) {
    // A person did something meanwhile, and its answer is newer.
    if (byId("lp-body") !== body || body.dataset.tag !== tag) return;
    if (answer === "same") refreshed();
    else if (answer && isBusy()) waiting = answer;
    else if (answer) show(answer);
    const degraded = !answer || (waiting || document).querySelector("#lp-body").hasAttribute("data-degraded");
    failures = degraded ? failures + 1 : 0;
    if (answer) plan();
    else nextAt = Date.now() + Math.max(every, pause());
  }

  function refreshed() {
    document.querySelectorAll("#lp-strip time[data-ago]").forEach((time) => { time.dateTime = new Date().toISOString(); });
  }

  // Whether a swap would move what a person is using: a drawer, a field in the list, a request under way. The box and
  // its results are above the list and stay where they are.
  function isBusy() {
    const field = document.activeElement && document.activeElement.closest("#lp-body :is(input, select, textarea)");
    return Boolean(field || document.querySelector("#lp-body details[open], .htmx-request"));
  }

  // --- showing -------------------------------------------------------------------------------------------------------

  function show(page) {
    waiting = null;
    const [body, fresh] = [byId("lp-body"), page.getElementById("lp-body")];
    const focused = document.activeElement && document.activeElement.id;
    const wasDegraded = body.hasAttribute("data-degraded");
    page.querySelectorAll("[role=alert]").forEach((one) => one.removeAttribute("role"));
    page.querySelectorAll("[autofocus]").forEach((one) => one.removeAttribute("autofocus"));
    swap(byId("lp-strip"), page.getElementById("lp-strip"));
    showTools(page.getElementById("lp-tools"));
    const change = shape(body) === shape(fresh) ? mergeBody(body, fresh) : { came: [], went: [], whole: swap(body, fresh) };
    keepFocus(focused);
    known = { body: byId("lp-body"), tag: fresh.dataset.tag };
    document.dispatchEvent(new CustomEvent("leafpanel:shown"));
    say(wasDegraded, change);
  }

  function swap(old, fresh) {
    const node = document.importNode(fresh, true);
    old.replaceWith(node);
    window.htmx.process(node);
    return node;
  }

  // The search box is not there while nothing can be searched, unless somebody types in it.
  function showTools(fresh) {
    const tools = byId("lp-tools");
    if (fresh && !tools) {
      byId("lp-message").before(document.importNode(fresh, true));
      window.htmx.process(byId("lp-tools"));
    } else if (!fresh && tools && !byId("lp-q").value && !tools.contains(document.activeElement)) tools.remove();
  }

  function keepFocus(id) {
    const active = document.activeElement;
    if (!id || (active && active.id === id)) return;
    const target = byId(id) || byId("lp-refresh");
    if (target) target.focus({ preventScroll: true });
  }

  const shape = (body) => `${body.hasAttribute("data-degraded")} ${[...body.children].map((one) => one.className).join(" ")}`;
  const plain = (node) => node.outerHTML.replace(/name="(csrf_token|token)" value="[^"]*"/g, "");

  function mergeBody(body, fresh) {
    let change = { came: [], went: [] };
    [...fresh.children].forEach((part, at) => {
      const old = body.children[at];
      if (part.matches(".lp-rows")) change = mergeRows(old, part);
      else if (plain(old) !== plain(part)) swap(old, part);
    });
    body.dataset.tag = fresh.dataset.tag;
    return change;
  }

  function mergeRows(list, fresh) {
    const old = new Map([...list.children].map((row) => [row.id, row]));
    const ids = new Set([...fresh.children].map((row) => row.id));
    const went = [...list.children].filter((row) => !ids.has(row.id));
    const came = [];
    went.forEach((row) => row.remove());
    [...fresh.children].forEach((row, at) => {
      let here = old.get(row.id);
      if (here && here.dataset.tag !== row.dataset.tag) here = swap(here, row);
      if (!here) {
        here = document.importNode(row, true);
        came.push(here);
      }
      if (list.children[at] !== here) list.insertBefore(here, list.children[at] || null);
    });
    came.forEach((row) => window.htmx.process(row));
    return { came, went };
  }

  // --- what is said aloud: rows that came or went, and a notice that came or healed --------------------------------------

  function say(wasDegraded, { came, went }) {
    const body = byId("lp-body");
    const isDegraded = body.hasAttribute("data-degraded");
    const words = [];
    if (wasDegraded && !isDegraded) words.push(body.dataset.healed);
    else if (isDegraded && !wasDegraded) words.push(body.querySelector(".lp-notice h2").textContent);
    if (came.length) words.push(texts.textCame.replace("{n}", () => titles(came)));
    if (went.length) words.push(texts.textWent.replace("{n}", () => titles(went)));
    if (words.length) document.dispatchEvent(new CustomEvent("leafpanel:say", { detail: words.join(" ") }));
  }

  const titles = (rows) => rows.map((row) => row.querySelector(".lp-title, .lp-reference").textContent.trim()).join(", ");

  document.addEventListener("visibilitychange", tick);
  window.setInterval(tick, 1000);
  tick();
})();
