// The tab works without this file. It says aloud what happened, puts the focus back, and keeps the stamp ticking.
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  let focusNext = [];

  // --- announcements: one polite region, outside of everything that is swapped -----------------------------------

  function announce(text) {
    const region = byId("lp-status");
    if (!region || !text) return;
    region.textContent = "";
    window.setTimeout(() => { region.textContent = text; }, 50);
  }

  function announceNews() {
    const news = document.querySelectorAll("[data-announce]");
    announce([...news].map((one) => one.dataset.announce).join(". "));
    news.forEach((one) => one.removeAttribute("data-announce"));
  }

  // --- the stamp ---------------------------------------------------------------------------------------------------

  function ago(moment) {
    const seconds = Math.max(0, Math.round((Date.now() - Date.parse(moment)) / 1000));
    if (seconds < 60) return `${seconds} s ago`;
    return seconds < 3600 ? `${Math.floor(seconds / 60)} min ago` : `${Math.floor(seconds / 3600)} h ago`;
  }

  function tick() {
    if (document.hidden) return;
    document.querySelectorAll("time[data-ago]").forEach((time) => {
      const words = ago(time.dateTime);
      if (time.textContent !== words) time.textContent = words;
    });
  }

  // --- drawers -----------------------------------------------------------------------------------------------------

  function close(drawer) {
    drawer.open = false;
    drawer.querySelectorAll("form").forEach((form) => form.reset());
    drawer.querySelectorAll("details").forEach((inner) => { inner.open = false; });
    drawer.querySelector("summary").focus();
  }

  function onClick(event) {
    const target = event.target.closest("[data-opens], [data-closes], [data-focuses], [data-copies]");
    if (!target) return;
    const { opens, closes, focuses, copies } = target.dataset;
    const drawer = opens ? byId(opens) : closes !== undefined && target.closest("details");
    if (drawer) {
      event.preventDefault();
      if (opens) openDrawer(drawer);
      else close(drawer);
    } else if (focuses && byId(focuses)) {
      event.preventDefault();
      byId(focuses).focus();
    } else if (copies) {
      copy(target, copies);
    }
  }

  function openDrawer(drawer) {
    drawer.open = true;
    const field = drawer.querySelector(".lp-edit :is(select, input:not([type=hidden]))");
    if (field) field.focus();
  }

  // A drawer that was opened from the keyboard hands the focus to its first field.
  function onToggle(event) {
    const drawer = event.target;
    if (!drawer.open || !drawer.matches(".lp-drawer, .lp-unlink")) return;
    const first = drawer.querySelector(".lp-edit :is(select, input:not([type=hidden])), .lp-question button");
    if (first && first.checkVisibility() && first.closest("details") === drawer) first.focus();
  }

  function copy(button, text) {
    navigator.clipboard.writeText(text).then(() => {
      button.querySelector("span").textContent = "Copied";
      announce("Copied");
    });
  }

  function showCopyButtons() {
    if (!navigator.clipboard) return;
    document.querySelectorAll("[data-copies]").forEach((button) => { button.hidden = false; });
  }

  // --- focus after an act --------------------------------------------------------------------------------------------

  function neighbours(id) {
    const rows = [...document.querySelectorAll(".lp-rows > li")];
    const at = rows.findIndex((row) => row.id === id);
    return [...rows.slice(at + 1), ...rows.slice(0, at).reverse()].map((row) => row.id.replace("row-", "title-"));
  }

  function onRequest(event) {
    const source = event.detail.ctx.sourceElement;
    focusNext = [];
    if (source.dataset.leaves) focusNext = [...neighbours(source.dataset.leaves), "lp-q"];
    if (source.dataset.thenFocuses) focusNext = [source.dataset.thenFocuses];
    const menu = source.closest(".lp-sort");
    if (menu) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
    if (source.matches(".lp-tab-link")) waitForTab(event.detail.ctx, source);
  }

  function placeFocus() {
    const next = focusNext.map(byId).find(Boolean);
    focusNext = [];
    if (next) next.focus();
  }

  // --- changing tab: after a moment without an answer the shape of what is to come --------------------------------

  function waitForTab(ctx, link) {
    const body = byId("lp-body");
    const timer = window.setTimeout(() => {
      if (!body.isConnected) return;
      document.querySelectorAll(".lp-tab-link").forEach((one) => one.removeAttribute("aria-current"));
      link.setAttribute("aria-current", "page");
      byId("lp-strip").classList.add("htmx-request");
      body.replaceChildren(byId("lp-skeleton").content.cloneNode(true));
    }, 300);
    ctx.stopWaiting = () => window.clearTimeout(timer);
  }

  // --- what did not come -------------------------------------------------------------------------------------------

  // A whole page where a part was asked for (a session that ended, a failure of ours) must not wipe what is shown.
  function onSwap(event) {
    const { ctx } = event.detail;
    // What took the focus once must not take it again when the list around it is swapped.
    document.querySelectorAll("[autofocus]").forEach((one) => one.removeAttribute("autofocus"));
    if (ctx.target === document.body || !/^\s*<!doctype/i.test(ctx.text)) return;
    event.preventDefault();
    if (!ctx.sourceElement.matches(".lp-excerpt")) complain(`This did not work. Reload the page and try again. Reference: ${ctx.response.headers.get("X-Request-Id") || "none"}`);
  }

  function onError(event) {
    const source = event.detail.ctx && event.detail.ctx.sourceElement;
    if (source && source.matches(".lp-excerpt")) return;
    complain("The panel does not answer. Nothing you typed is lost; try again.");
  }

  function complain(text) {
    const place = byId("lp-message") || byId("lp-body");
    const line = document.createElement("p");
    line.className = "lp-problem";
    line.setAttribute("role", "alert");
    line.textContent = text;
    if (place.id === "lp-message") place.replaceChildren(line);
    else place.prepend(line);
  }

  // The session ended while somebody typed: sent as a whole page, the form goes along through signing in.
  function onAnswer(event) {
    const { ctx } = event.detail;
    if (!ctx.response.headers.has("X-Leafpanel-Send-Whole")) return;
    const form = document.createElement("form");
    form.method = "post";
    form.action = ctx.request.action;
    form.hidden = true;
    for (const [name, value] of ctx.request.body) {
      const field = document.createElement("textarea");
      field.name = name;
      field.value = value;
      form.append(field);
    }
    document.body.append(form);
    form.submit();
  }

  // Links that are worn as buttons answer to the space bar as well.
  function onKey(event) {
    if (event.key !== " " || !event.target.matches("a[role=button]")) return;
    event.preventDefault();
    event.target.click();
  }

  document.addEventListener("click", onClick);
  document.addEventListener("keydown", onKey);
  document.addEventListener("toggle", onToggle, true);
  document.addEventListener("htmx:before:request", onRequest);
  document.addEventListener("htmx:after:request", onAnswer);
  document.addEventListener("htmx:before:swap", onSwap);
  document.addEventListener("htmx:error", onError);
  document.addEventListener("htmx:finally:request", (event) => event.detail.ctx.stopWaiting && event.detail.ctx.stopWaiting());
  document.addEventListener("htmx:after:swap", () => {
    announceNews();
    showCopyButtons();
    tick();
    placeFocus();
  });
  window.setInterval(tick, 1000);
  tick();
  showCopyButtons();
  document.querySelectorAll("[data-announce]").forEach((one) => one.removeAttribute("data-announce"));
})();
